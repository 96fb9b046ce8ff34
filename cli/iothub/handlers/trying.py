"""Trying the handlers of TelemetryConsumers, each in a process of its own that gets a worker's environment.

The environment is that of the pod which the operator would make, as `iothub up` gives it to a process on this machine.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from consumers.records import Record
from iothub.errors import ManifestProblem
from iothub.handlers.results import SampleReport, TrialResult
from iothub.handlers.trial import Request, WireRecord
from iothub.hub.containers import SECRETS, ConfigProblem, Read, build_environment, build_volume, find_mounts
from iothub.hub.processes import build_base_environment
from iothub.manifests.checks import Problem
from iothub.manifests.config_maps import find_file_beside, find_source, gather_config_maps
from iothub.manifests.documents import Document
from iothub.manifests.render import render_documents
from telemetry_operator.api import CONFIG_MAPS, Manifest
from telemetry_operator.naming import VOLUME_HANDLER
from telemetry_operator.settings import Settings

_FIELD = ("spec", "handler")
_NOT_FOUND = "HandlerNotFound"
_IN_IMAGE, _HERE = "in this image", "in this environment"
_SHOWN_CHARACTERS = 300
_GRACE_SECONDS = 2.0
"""How much longer than it may a trial takes to say where it stands."""
_TIMED_OUT = "Timeout ("
"""How faulthandler begins when the time is over."""


@dataclass(frozen=True)
class Trial:
    """What came of trying one consumer's handler."""

    document: Document
    result: TrialResult
    image: str | None = None
    """The consumer's own image, where it names one: what is not found here may be there."""

    def find_problem(self) -> Problem | None:
        """Return why the handler can't be had, None where it can."""
        if self.result.problem is None:
            return None
        sentence, warning = self.result.problem, False
        if self.image is not None and self.result.reason == _NOT_FOUND:
            sentence, warning = f"{sentence}; it may be in the image {self.image}, which is not looked into", True
        line = self.document.line_of(_FIELD)
        return Problem(self.document.path, line, ".".join(_FIELD), sentence, warning)

    @property
    def sample(self) -> SampleReport | None:
        """What the handler made of messages, None where it was given none."""
        return self.result.sample


def try_handlers(
    documents: Sequence[Document],
    settings: Settings,
    seconds: float,
    records: Mapping[tuple[str, str], Sequence[Record]] | None = None,
) -> list[Trial]:
    """Try the handler of every consumer of ``documents``, all of which have to be right; return what came of it.

    A handler whose ConfigMap is not at hand is left out. ``records`` has, for a consumer's namespace and name, the
    messages that its handler is given; without, it is only loaded. Each may take ``seconds``.
    """
    consumers = [document for document in documents if document.is_consumer]
    processes = _Processes()
    tries = partial(
        _try_one,
        documents=documents,
        settings=settings,
        seconds=seconds,
        records=records or {},
        processes=processes,
    )
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            return [trial for trial in pool.map(tries, consumers) if trial is not None]
        finally:
            # Where somebody has pressed Ctrl-C; otherwise there is nothing left.
            pool.shutdown(wait=False, cancel_futures=True)
            processes.close()


def _try_one(
    document: Document,
    *,
    documents: Sequence[Document],
    settings: Settings,
    seconds: float,
    records: Mapping[tuple[str, str], Sequence[Record]],
    processes: _Processes,
) -> Trial | None:
    helpers = [other for other in documents if not other.is_consumer]
    try:
        (deployment,) = render_documents([document, *helpers], settings)
    except ManifestProblem:
        return None
    read = _find_reader([document, *helpers], document.namespace)
    given = records.get((document.namespace, document.name))
    packed = None if given is None else tuple(WireRecord.pack(record) for record in given)
    request = Request(seconds=seconds, records=packed)
    with tempfile.TemporaryDirectory(prefix="iothub-check-") as name:
        pod, folder = deployment["spec"]["template"]["spec"], Path(name)
        (container,) = pod["containers"]
        mounts = find_mounts(container, folder)
        for volume in pod["volumes"]:
            _write_volume(folder / "volumes" / volume["name"], build_volume(volume, document.namespace, read) or {})
        environment = _build_environment(container, document.namespace, mounts, read)
        result = processes.run(folder, environment, request)
        return Trial(document, _reword(result, document, folder), document.body["spec"].get("image"))


def _find_reader(documents: Sequence[Document], namespace: str) -> Read:
    """Return what reads the ConfigMaps and Secrets of ``namespace``, as far as the files have them."""
    bodies = {
        ("ConfigMap", body["metadata"]["namespace"], body["metadata"]["name"]): body
        for body in gather_config_maps(documents)
    }
    bodies |= {("Secret", other.namespace, other.name): other.body for other in documents if other.kind == "Secret"}
    kinds = {CONFIG_MAPS: "ConfigMap", SECRETS: "Secret"}
    return lambda resource, name: bodies.get((kinds[resource], namespace, name))


def _write_volume(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _build_environment(container: Manifest, namespace: str, mounts: Mapping[str, Path], read: Read) -> dict[str, str]:
    """Return the worker's variables; those from Secrets and ConfigMaps that are not at hand are not set."""
    build = partial(build_environment, pod_name="iothub-check", namespace=namespace, mounts=mounts, read=read)
    known = []
    for item in container["env"]:
        with suppress(ConfigProblem):
            build({"env": [item]})
            known.append(item)
    return build_base_environment(os.environ) | build({"env": known})


class _Processes:
    """Runs trials, and ends those that still run when nobody waits for them any more."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def run(self, folder: Path, environment: Mapping[str, str], request: Request) -> TrialResult:
        """Run a trial in ``folder`` and return its result, or what the process died of instead."""
        asked, answered, log = folder / "request.json", folder / "result.json", folder / "log"
        asked.write_text(request.model_dump_json(), "utf-8")
        command = [sys.executable, "-m", "iothub.handlers.trial", str(asked), str(answered)]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.add(process)
        if self._closed:
            _kill(process)
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(request.seconds + _GRACE_SECONDS)
        _kill(process)
        self._running.discard(process)
        if answered.exists():
            return TrialResult.model_validate_json(answered.read_bytes())
        return _describe_end(code, log.read_text("utf-8", "replace"), request)

    def close(self) -> None:
        """End whatever runs, and what should still begin."""
        self._closed = True
        for process in list(self._running):
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a trial with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _describe_end(code: int | None, log: str, request: Request) -> TrialResult:
    if code is None or _TIMED_OUT in log:
        doing = "loaded" if request.records is None else "done with the messages"
        # Of each thread the latest call comes first, and the main thread comes last.
        places = re.findall(r'^(?:Current thread|Thread) .*\n  File "(.*)", line (\d+) in (.*)$', log, re.MULTILINE)
        where = " (it stood in {2}, {0}, line {1})".format(*places[-1]) if places else ""
        problem = f"the handler is not {doing} after {request.seconds:g} s{where}; it was ended"
        return TrialResult(problem=problem, reason="TimedOut")
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    lines = log.strip().splitlines()
    last = f"; its last line was: {lines[-1].strip()[:_SHOWN_CHARACTERS]}" if lines else ""
    return TrialResult(problem=f"the handler ended its process with {how}{last}", reason="Crashed")


def _reword(result: TrialResult, document: Document, folder: Path) -> TrialResult:
    """Return ``result`` in words that fit this machine: a mounted file is the one that it came from."""
    source = find_source(document)
    if source is not None:
        beside = find_file_beside(document, source[1])
        origin = str(beside) if beside is not None else f"{source[1]} of ConfigMap {source[0]}"
        mounted = str(folder / "volumes" / VOLUME_HANDLER / source[1])
        text = result.model_dump_json().replace(mounted, json.dumps(origin)[1:-1])
        result = TrialResult.model_validate_json(text)
    if result.problem is None:
        return result
    return result.model_copy(update={"problem": result.problem.replace(_IN_IMAGE, _HERE)})
