"""The small kubelet, the parts and what is left over, with small programs in place of workers and servers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from iothub.errors import StartFailed
from iothub.hub.containers import SECRETS
from iothub.hub.events import Event
from iothub.hub.folder import Folder
from iothub.hub.leftovers import Notes, end_leftovers, read_notes
from iothub.hub.objects import ObjectStore
from iothub.hub.parts import Liveness, RunningPart, Surroundings
from iothub.hub.pods import Kubelet, Machine
from iothub.hub.ports import pick_port
from iothub.hub.probes import Probe, is_answering
from iothub.hub.processes import Launch, Process, build_base_environment
from iothub.servers.program import Program
from telemetry_operator import naming
from telemetry_operator.api import CONFIG_MAPS, PODS, Manifest
from telemetry_operator.facts import find_problem

SERVE = """
import http.server, os, sys

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" or os.path.exists("ready") else 503)
        self.end_headers()

    def log_message(self, *arguments):
        pass

print("serving", os.environ.get("SAID", ""), flush=True)
http.server.ThreadingHTTPServer(("", int(os.environ["HTTP_PORT"])), Answers).serve_forever()
"""
READY = "open('ready', 'w').close()\n"
FAILS = """
import os, sys
open(os.environ["TERMINATION_LOG"], "w").write('{"reason": "HandlerNotFound", "message": "no such class"}')
sys.exit(78)
"""


async def until(condition: Callable[[], Any], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Bench:
    """A kubelet over a store."""

    def __init__(self, folder: Folder) -> None:
        folder.prepare(fresh=True)
        self.folder = folder
        self.store = ObjectStore()
        self.events: list[Event] = []
        self.notes = Notes(folder.processes)
        environment = build_base_environment(os.environ)
        self.around = Surroundings(folder, self.notes, environment, self.events.append)
        self.machine = Machine.build(self.store, folder, self.notes, environment, self.events.append)
        self.kubelet = Kubelet(self.machine)

    def put(
        self, *, preflight: str = "", worker: str = READY + SERVE, env: list[dict[str, Any]] | None = None, **spec: Any
    ) -> None:
        def container(name: str, code: str) -> Manifest:
            return {"name": name, "image": "i", "command": ["python", "-c", code], "env": env or []}

        def probe(path: str, period: float, failures: int) -> Manifest:
            return {
                "httpGet": {"path": path},
                "timeoutSeconds": 1,
                "periodSeconds": period,
                "failureThreshold": failures,
            }

        probes = {
            "startupProbe": probe("/healthz", 1, 5),
            "readinessProbe": probe("/readyz", 0.1, 2),
            "livenessProbe": probe("/healthz", 0.2, 2),
        }
        self.store.put(
            PODS,
            {
                "metadata": {"name": "pod-1", "namespace": "default", "labels": {naming.LABEL_CONSUMER: "alarm"}},
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "initContainers": [container("preflight", preflight)],
                    "containers": [container("worker", worker) | probes],
                    **spec,
                },
            },
        )

    @property
    def pod(self) -> Manifest:
        found = self.store.get(PODS, "default", "pod-1")
        assert found is not None
        return found

    @property
    def worker(self) -> Manifest:
        statuses = self.pod.get("status", {}).get("containerStatuses", [{}])
        found: Manifest = statuses[0]
        return found

    @property
    def is_ready(self) -> bool:
        return bool(self.worker.get("ready"))

    @property
    def place(self) -> Path:
        return self.folder.pod("default", "alarm", "pod-1")

    @property
    def pids(self) -> list[int]:
        return [note.pid for note in read_notes(self.folder.processes)]

    def delete(self) -> None:
        self.store.put(PODS, {**self.pod, "metadata": {**self.pod["metadata"], "deletionTimestamp": "now"}})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(Folder(tmp_path / "hub"))
    yield made
    await made.kubelet.stop()
    assert made.pids == []


async def test_a_pod_gets_ready_and_goes_in_order(bench: Bench) -> None:
    bench.put(env=[{"name": "SAID", "value": "hello"}])
    await until(lambda: bench.is_ready)
    assert bench.pod["status"]["phase"] == "Running"
    assert "serving hello" in (bench.place / "worker.log").read_text()
    bench.delete()
    await until(lambda: bench.store.get(PODS, "default", "pod-1") is None)
    await until(lambda: not bench.place.exists())
    assert bench.pids == []


async def test_a_preflight_that_fails_is_tried_again_and_no_worker_starts(bench: Bench) -> None:
    bench.put(preflight=FAILS)
    await until(lambda: bench.pod.get("status", {}).get("initContainerStatuses", [{}])[0].get("restartCount", 0) >= 1)
    problem = find_problem(bench.pod)
    assert problem is not None
    assert (problem.reason, problem.hopeless) == ("HandlerNotFound", True)
    assert problem.message == "no such class (pod pod-1, container preflight)"
    assert not (bench.place / "worker.log").exists()


async def test_without_last_words_the_end_of_the_log_stands_for_them(bench: Bench) -> None:
    bench.put(worker="print('first'); raise SystemExit('it broke')")
    await until(lambda: bench.worker.get("restartCount", 0) >= 1)
    await until(lambda: "terminated" in bench.worker["lastState"])
    assert bench.worker["lastState"]["terminated"]["message"] == "first\nit broke"
    assert any("is started again in 1 s: it ended with exit code 1" in event for event in bench.events)
    assert (bench.place / "worker.previous.log").exists()


async def test_a_killed_worker_is_started_again(bench: Bench) -> None:
    bench.put()
    await until(lambda: bench.is_ready)
    (pid,) = bench.pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not bench.is_ready)
    assert bench.worker["state"].keys() <= {"terminated", "waiting"}
    await until(lambda: bench.is_ready)
    assert bench.worker["lastState"]["terminated"]["exitCode"] == 137
    assert bench.worker["restartCount"] == 1


async def test_a_frozen_worker_is_started_again(bench: Bench) -> None:
    bench.put()
    await until(lambda: bench.is_ready)
    (pid,) = bench.pids
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: any("it is frozen" in event for event in bench.events))
    await until(lambda: bench.is_ready and bench.pids not in ([], [pid]))


async def test_one_that_never_answers_is_started_again(bench: Bench) -> None:
    bench.put(worker="import time; time.sleep(60)")
    await until(lambda: any("it has not answered for 5 s after its start" in event for event in bench.events))


async def test_one_that_does_not_want_to_end_is_killed(bench: Bench) -> None:
    bench.put(worker="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + SERVE)
    await until(lambda: bench.is_ready)
    bench.delete()
    await until(lambda: bench.store.get(PODS, "default", "pod-1") is None)
    assert any("pod-1 was killed: it had not ended after 2 s" in event for event in bench.events)


async def test_what_it_lacks_is_waited_for(bench: Bench) -> None:
    reference = {"secretKeyRef": {"name": "own", "key": "token"}}
    bench.put(env=[{"name": "SAID", "valueFrom": reference}])
    await until(lambda: find_problem(bench.pod) is not None)
    problem = find_problem(bench.pod)
    assert problem is not None
    assert problem.reason == "CreateContainerConfigError"
    secret = {"kind": "Secret", "metadata": {"name": "own", "namespace": "default"}, "stringData": {"token": "t"}}
    bench.store.put(SECRETS, secret)
    await until(lambda: bench.is_ready)
    assert "serving t" in (bench.place / "worker.log").read_text()


async def test_files_of_a_config_map_lie_where_the_variables_say(bench: Bench) -> None:
    body = {"kind": "ConfigMap", "metadata": {"name": "code", "namespace": "default"}, "data": {"h.py": "x = 1"}}
    bench.store.put(CONFIG_MAPS, body)
    volume = {"name": "handler", "configMap": {"name": "code", "items": [{"key": "h.py", "path": "h.py"}]}}
    bench.put(volumes=[volume])
    await until(lambda: bench.is_ready)
    assert (bench.place / "volumes" / "handler" / "h.py").read_text() == "x = 1"


async def test_a_part_that_ends_is_started_again_until_it_is_stopped(bench: Bench) -> None:
    port = pick_port()
    program = Program(
        name="server",
        command=(sys.executable, "-c", SERVE),
        environment={"HTTP_PORT": str(port)},
        is_ready=lambda: is_answering(port, "/healthz"),
        stop_seconds=5,
    )
    part = RunningPart(
        program, bench.around, kind="kafka", software="s", liveness=Liveness(port, Probe("/healthz", 0.2, 1, 2))
    )
    await part.start()
    assert (part.part.state, part.part.restarts) == ("running", 0)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        before = part.part.pid
        assert before is not None
        os.kill(before, number)
        await until(lambda: part.part.state == "running" and part.part.pid not in {None, before})  # noqa: B023
    assert part.part.restarts == 2
    said = "\n".join(bench.events)
    assert "server is started again in 1 s: it ended with exit code 137" in said
    assert "server is started again in 2 s: it was frozen" in said
    await part.stop()
    assert (part.part.state, part.part.pid) == ("stopped", None)


@pytest.mark.parametrize(
    ("command", "seconds", "sentence"),
    [
        ((sys.executable, "-c", "raise SystemExit('no room')"), 5, "server ended with exit code 1: no room"),
        ((sys.executable, "-c", "import time; time.sleep(60)"), 0.3, "server was not ready in 0 s"),
        (("/nowhere/at-all",), 5, "server "),
    ],
)
async def test_a_part_that_does_not_start_is_one_sentence(
    bench: Bench, command: tuple[str, ...], seconds: float, sentence: str
) -> None:
    program = Program(name="server", command=command, is_ready=lambda: False, start_seconds=seconds)
    part = RunningPart(program, bench.around, kind="kafka", software="s")
    with pytest.raises(StartFailed) as raised:
        await part.start()
    assert str(raised.value).startswith(sentence)
    await part.stop()


async def test_a_full_disk_is_the_cause_that_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iothub.hub.parts.shutil.disk_usage", lambda place: SimpleNamespace(free=4096))
    program = Program(name="server", command=(sys.executable, "-c", "raise SystemExit(1)"), is_ready=lambda: False)
    part = RunningPart(program, bench.around, kind="kafka", software="s")
    with pytest.raises(StartFailed, match=r"^the disk of .* is full; make room there$"):
        await part.start()
    await part.stop()


async def test_what_a_process_has_started_ends_with_it(bench: Bench, tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    launch = Launch("x", (sys.executable, "-c", code), dict(os.environ), tmp_path, tmp_path / "x.log")
    process = Process(launch, bench.notes)
    assert await process.wait() == 0
    child = int((tmp_path / "x.log").read_text())
    await until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_only_what_was_noted_is_ended(tmp_path: Path) -> None:
    """Given notes of a process that ignores SIGTERM, and of a pid that is another's now, then only the first ends."""
    stubborn = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
        ],
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline()
        path = tmp_path / "processes.json"
        notes = Notes(path)
        notes.add("stubborn", stubborn.pid)
        notes.add("other", other.pid)
        written = json.loads(path.read_text())
        written[1]["created"] -= 100
        path.write_text(json.dumps(written))
        assert [note.name for note in read_notes(path)] == ["stubborn"]
        assert [note.name for note in end_leftovers(path, seconds=0.3)] == ["stubborn"]
        assert stubborn.wait(5) == -signal.SIGKILL
        assert other.poll() is None
        assert not path.exists()
        assert end_leftovers(path) == []
    finally:
        for process in (stubborn, other):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the kernel is asked for it by setpriv (util-linux)")
def test_a_process_ends_with_the_hub_that_was_killed(tmp_path: Path) -> None:
    """Given a hub's process that dies without a word, then the kernel tells what it had started."""
    code = f"""
import asyncio, os, pathlib
from iothub.hub.leftovers import Notes
from iothub.hub.processes import Launch, Process

async def main():
    folder = pathlib.Path({str(tmp_path)!r})
    process = Process(Launch("x", ("sleep", "60"), os.environ, folder, folder / "x.log"), Notes(folder / "notes"))
    print(process.pid, flush=True)
    await process.wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as hub:
        assert hub.stdout is not None
        child = psutil.Process(int(hub.stdout.readline()))
        hub.kill()
    child.wait(10)
