"""A small kubelet: pods of the store become processes on this machine, and what becomes of them their status.

A pod's containers run as the kubelet runs them: the init containers one after the other, each until it succeeds, then
the worker with its probes. What ends is started again after growing waits; a worker that does not answer any more is
killed, and started again too. A pod that is being deleted gets SIGTERM and its grace period, then it is gone.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil

from iothub.hub.containers import ConfigProblem, build_environment, build_volume, find_mounts
from iothub.hub.events import Event, Report
from iothub.hub.folder import Folder, read_tail
from iothub.hub.leftovers import Notes
from iothub.hub.objects import ObjectStore
from iothub.hub.pod_status import SIGKILLED, ContainerStatus, PodStatus, Running, Terminated, Waiting
from iothub.hub.ports import pick_port
from iothub.hub.probes import Probe, ask, wait_until_answering, watch_liveness
from iothub.hub.processes import Launch, Process
from iothub.hub.waits import Waits
from telemetry_operator import naming
from telemetry_operator.api import PODS, Manifest, Resource

CONFIG_LOOK_SECONDS = 2.0
"""How often a container that lacks a Secret or a ConfigMap looks again."""
SLOT_SECONDS = 10.0
"""How long a start may keep others waiting: what takes longer waits for something itself."""
START_LOOK_SECONDS = 0.1
"""How often a worker that starts is asked, where its manifest says once a second: a laptop's user watches it."""


@dataclass(frozen=True)
class Machine:
    """What every pod on this machine shares."""

    store: ObjectStore
    folder: Folder
    notes: Notes
    environment: Mapping[str, str]
    """Variables that every process gets."""
    report: Report
    starting: asyncio.Semaphore
    """So many workers may start at the same time: starting is what costs."""

    @classmethod
    def build(
        cls, store: ObjectStore, folder: Folder, notes: Notes, environment: Mapping[str, str], report: Report
    ) -> Machine:
        """Return the machine with its own number of starts at a time."""
        cores = psutil.cpu_count() or 1
        return cls(store, folder, notes, environment, report, asyncio.Semaphore(cores + 1))


class _Slot:
    """A pod's right to start now: kept from its preflight until its worker answers, given back early where it waits."""

    def __init__(self, starting: asyncio.Semaphore) -> None:
        self._starting = starting
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> None:
        """Wait for the turn, unless it is ours already."""
        if self._timer is None:
            await self._starting.acquire()
            self._timer = asyncio.get_running_loop().call_later(SLOT_SECONDS, self.give_back)

    def give_back(self) -> None:
        """Let the next one start."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._starting.release()


class Kubelet:
    """Runs the pods of the store, from the moment it is made."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._runs: dict[str, _PodRun] = {}
        machine.store.watch(PODS, self._see)

    async def stop(self) -> None:
        """End every pod in order, and return once all are gone; their logs stay."""
        await asyncio.gather(*(run.leave(keep_logs=True) for run in list(self._runs.values())))

    def _see(self, body: Manifest, gone: bool) -> None:
        uid = body["metadata"]["uid"]
        if gone:
            self._runs.pop(uid, None)
        elif uid not in self._runs:
            self._runs[uid] = _PodRun(self._machine, body)
        elif "deletionTimestamp" in body["metadata"]:
            self._runs[uid].begin_to_leave()


class _PodRun:
    """One pod, from its making to its end."""

    def __init__(self, machine: Machine, body: Manifest) -> None:
        self._machine = machine
        metadata = body["metadata"]
        self.name: str = metadata["name"]
        self._namespace: str = metadata["namespace"]
        consumer = metadata.get("labels", {}).get(naming.LABEL_CONSUMER, self.name)
        self._folder = machine.folder.pod(self._namespace, consumer, self.name)
        self._spec: Manifest = body["spec"]
        self._grace: float = self._spec.get("terminationGracePeriodSeconds", 30)
        self._status = PodStatus(
            tuple(_await_container(c, "PodInitializing") for c in self._spec.get("initContainers", ())),
            tuple(_await_container(c, "PodInitializing") for c in self._spec["containers"]),
        )
        self._process: Process | None = None
        self._port = pick_port()
        self._slot = _Slot(machine.starting)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        self._leaving: asyncio.Task[None] | None = None
        self._keep_logs = False

    def begin_to_leave(self) -> None:
        """End the pod, in a task of its own."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._leave())

    async def leave(self, *, keep_logs: bool) -> None:
        """End the pod in order and return once it is gone."""
        self._keep_logs = keep_logs
        self.begin_to_leave()
        if self._leaving is not None:
            await self._leaving

    async def _leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        process = self._process
        if process is not None and not process.has_ended:
            code = await process.stop(signal.SIGTERM, self._grace)
            if code == SIGKILLED:
                sentence = f"{self.name} was killed: it had not ended after {self._grace:.0f} s"
                self._machine.report(Event(sentence, kind="killed", subject=self.name))
        with suppress(KeyError):
            self._machine.store.remove(PODS, self._namespace, self.name)
        if not self._keep_logs:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _run(self) -> None:
        try:
            for container in self._spec.get("initContainers", ()):
                await self._run_until_success(container)
            await asyncio.gather(*(self._run_for_ever(container) for container in self._spec["containers"]))
        except Exception as error:  # a bug of ours must show where people look, and not stop the other pods
            sentence = f"{self.name} can't be run: {type(error).__name__}: {error}"
            self._machine.report(Event(sentence, kind="failed", subject=self.name))
            raise
        finally:
            self._slot.give_back()

    async def _run_until_success(self, container: Manifest) -> None:
        waits = Waits(time.monotonic)
        while True:
            await self._slot.take()
            process, log, began = await self._launch(container, waits)
            code = await process.wait()
            self._end(container, code, log, began)
            if code == 0:
                return
            await self._wait_for_next_try(container, waits, None)

    async def _run_for_ever(self, container: Manifest) -> None:
        waits = Waits(time.monotonic)
        while True:
            await self._slot.take()
            process, log, began = await self._launch(container, waits)
            code, why = await self._watch(container, process)
            self._end(container, code, log, began)
            await self._wait_for_next_try(container, waits, why or f"it ended with exit code {code}")

    async def _launch(self, container: Manifest, waits: Waits) -> tuple[Process, Path, datetime]:
        while True:
            try:
                launch = self._build_launch(container)
                process = self._process = Process(launch, self._machine.notes)
            except ConfigProblem as problem:
                waiting = Waiting("CreateContainerConfigError", str(problem))
            except OSError as error:
                # The disk is full, for example: what is wrong may pass.
                waiting = Waiting("CreateContainerError", f"{error.filename or self._folder}: {error.strerror}")
            else:
                break
            self._change(self._container(container).to(waiting))
            await asyncio.sleep(CONFIG_LOOK_SECONDS)
        waits.started()
        began = datetime.now(UTC)
        self._change(self._container(container).to(Running(began)))
        return process, launch.log, began

    def _build_launch(self, container: Manifest) -> Launch:
        self._folder.mkdir(parents=True, exist_ok=True)
        mounts = find_mounts(container, self._folder)
        for volume in self._spec.get("volumes", ()):
            files = build_volume(volume, self._namespace, self._read)
            place = self._folder / "volumes" / volume["name"]
            place.mkdir(parents=True, exist_ok=True)
            for name, content in (files or {}).items():
                (place / name).write_bytes(content)
        environment = build_environment(
            container, pod_name=self.name, namespace=self._namespace, mounts=mounts, read=self._read
        )
        last_words = self._folder / f"{container['name']}.last-words"
        last_words.write_bytes(b"")
        own = {"TERMINATION_LOG": str(last_words), "HTTP_PORT": str(self._port)}
        if "/tmp" in mounts:  # noqa: S108  # the mount's path in the manifest
            own["TMPDIR"] = str(mounts["/tmp"])  # noqa: S108
        command = [sys.executable if word == "python" else word for word in container["command"]]
        log = self._folder / f"{container['name']}.log"
        return Launch(self.name, command, {**self._machine.environment, **environment, **own}, self._folder, log)

    def _read(self, resource: Resource, name: str) -> Manifest | None:
        return self._machine.store.get(resource, self._namespace, name)

    async def _watch(self, container: Manifest, process: Process) -> tuple[int, str | None]:
        """Watch over a worker until it ends. Returns its exit code, and why it was killed where it was."""
        probing = asyncio.get_running_loop().create_task(self._probe(container))
        ended = asyncio.get_running_loop().create_task(process.wait())
        try:
            await asyncio.wait({probing, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result(), None
            why = probing.result()
            return await process.stop(signal.SIGTERM, self._grace), why
        finally:
            probing.cancel()
            ended.cancel()
            await asyncio.gather(probing, ended, return_exceptions=True)

    async def _probe(self, container: Manifest) -> str:
        """Follow the manifest's probes; return why the worker has to be killed, if ever."""
        startup, ready, live = (Probe.read(container[f"{kind}Probe"]) for kind in ("startup", "readiness", "liveness"))
        seconds = startup.period_seconds * startup.failure_threshold
        answering = await wait_until_answering(
            lambda: ask(self._port, startup.path, startup.timeout_seconds), START_LOOK_SECONDS, seconds
        )
        if not answering:
            return f"it has not answered for {seconds:.0f} s after its start"
        self._slot.give_back()
        self._change(replace(self._container(container), started=True))
        following = asyncio.get_running_loop().create_task(self._follow_readiness(container, ready))
        try:
            await watch_liveness(live, self._port)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        return f"it is frozen: no answer {live.failure_threshold} times"

    async def _follow_readiness(self, container: Manifest, probe: Probe) -> None:
        failures = 0
        while True:
            if await ask(self._port, probe.path, probe.timeout_seconds):
                failures = 0
                self._change(replace(self._container(container), ready=True))
            else:
                failures += 1
                if failures >= probe.failure_threshold:
                    self._change(replace(self._container(container), ready=False))
            was_ready = self._container(container).ready
            await asyncio.sleep(probe.period_seconds if was_ready else min(probe.period_seconds, 0.25))

    def _end(self, container: Manifest, code: int, log: Path, began: datetime) -> None:
        self._process = None
        said = ""
        with suppress(OSError):
            said = (self._folder / f"{container['name']}.last-words").read_text("utf-8", "replace")
        if not said and code != 0:
            said = read_tail(log)  # FallbackToLogsOnError
        ended = Terminated(code, said, began, datetime.now(UTC))
        self._change(self._container(container).to(ended, ready=code == 0))

    async def _wait_for_next_try(self, container: Manifest, waits: Waits, why: str | None) -> None:
        """Wait as long as it is time for; ``why`` is for a person, None where the status alone says it."""
        self._slot.give_back()
        seconds = waits.take()
        status = self._container(container)
        message = f"back-off {seconds:.0f}s restarting failed container={status.name} pod={self.name}"
        self._change(status.to(Waiting("CrashLoopBackOff", message)))
        if why is not None:
            sentence = f"{self.name} is started again in {seconds:.0f} s: {why}"
            self._machine.report(Event(sentence, kind="restarted", subject=self.name))
        await asyncio.sleep(seconds)
        status = self._container(container)
        self._change(replace(status, restarts=status.restarts + 1))

    def _container(self, container: Manifest) -> ContainerStatus:
        return self._find_status(container["name"])

    def _find_status(self, name: str) -> ContainerStatus:
        return next(status for status in (*self._status.init, *self._status.containers) if status.name == name)

    def _change(self, status: ContainerStatus) -> None:
        if status == self._find_status(status.name):
            return
        self._status = self._status.with_container(status)
        body = self._machine.store.get(PODS, self._namespace, self.name)
        if body is not None:
            self._machine.store.put_status(PODS, body, self._status.build())


def _await_container(container: Manifest, reason: str) -> ContainerStatus:
    return ContainerStatus(container["name"], container["image"], Waiting(reason))
