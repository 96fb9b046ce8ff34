"""Reading the logs in a hub's folder: all workers of a TelemetryConsumer, one worker, or a part."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iothub.hub.folder import Folder, previous_log
from telemetry_operator import naming

LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Log:
    """One log; ``source`` is what wrote it, shown before each line where there are several."""

    source: str
    path: Path


@dataclass(frozen=True)
class Line:
    """A line of a log. ``prefix`` is empty where all lines come from one."""

    source: str
    text: str
    prefix: str


def find_logs(folder: Folder, wanted: str, *, previous: bool = False) -> list[Log]:
    """Return the logs that ``wanted`` means: a part, a worker, or all workers of a TelemetryConsumer."""
    found = [Log(wanted, folder.part_log(wanted))] if wanted in _parts(folder) else []
    for pod in _pods(folder):
        if wanted in {pod.name, pod.parent.name, f"{pod.parent.parent.name}/{pod.parent.name}"}:
            found += [Log(pod.name, log) for log in _container_logs(pod)]
    if previous:
        found = [Log(log.source, previous_log(log.path)) for log in found]
    return [log for log in found if log.path.exists()]


def list_names(folder: Folder) -> list[str]:
    """Return whatever has logs."""
    return sorted({*_parts(folder), *(pod.parent.name for pod in _pods(folder)), *(pod.name for pod in _pods(folder))})


def read_lines(logs: Sequence[Log], *, tail: int | None) -> Iterator[Line]:
    """Yield the lines of ``logs``, one log after the other; of each the last ``tail`` ones."""
    for log in logs:
        reader = _Reader(log)
        for text in _last(reader.read(whole=True), tail):
            yield _label(log, text, len(logs))


def follow_lines(find: Callable[[], Sequence[Log]], *, tail: int | None) -> Iterator[Line]:
    """Yield what ``find`` finds, and then what is added, for ever; later logs from their start."""
    readers: dict[Path, _Reader] = {}
    first = True
    while True:
        logs = find()
        for log in logs:
            reader = readers.setdefault(log.path, _Reader(log))
            for text in _last(reader.read(), tail if first else None):
                yield _label(log, text, len(logs))
        for path in readers.keys() - {log.path for log in logs}:
            del readers[path]
        first = False
        time.sleep(LOOK_SECONDS)


class _Reader:
    """Reads on in a log that is appended to, and that a restart replaces and the hub's bound on its size cuts."""

    def __init__(self, log: Log) -> None:
        self._path = log.path
        self._identity: tuple[int, int] | None = None
        self._place = 0
        self._rest = b""

    def read(self, *, whole: bool = False) -> Iterator[str]:
        """Yield the complete lines that came since the last call, with ``whole`` also one that has no end."""
        try:
            with self._path.open("rb") as file:
                self._seek(file.fileno())
                file.seek(self._place)
                for chunk in iter(lambda: file.read(1 << 20), b""):
                    self._place += len(chunk)
                    *lines, self._rest = (self._rest + chunk).split(b"\n")
                    yield from (line.decode("utf-8", "replace") for line in lines)
        except OSError:
            return  # just replaced, or gone with its worker
        if whole and self._rest:
            yield self._rest.decode("utf-8", "replace")

    def _seek(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity or status.st_size < self._place:
            self._identity, self._place, self._rest = identity, 0, b""


def _parts(folder: Folder) -> list[str]:
    return [log.stem for log in _glob(folder.logs, "*.log") if not log.name.endswith(".previous.log")]


def _pods(folder: Folder) -> list[Path]:
    return sorted(pod for pod in _glob(folder.pods, "*/*/*") if pod.is_dir())


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return list(folder.glob(pattern))
    except FileNotFoundError:
        return []  # a hub that starts again removes the folders of the last run's workers


def _container_logs(pod: Path) -> list[Path]:
    """Return the worker's log, that of its preflight as long as there is no other."""
    worker, preflight = (pod / f"{name}.log" for name in (naming.CONTAINER_WORKER, naming.CONTAINER_PREFLIGHT))
    return [worker] if worker.exists() else [preflight]


def _last(lines: Iterator[str], tail: int | None) -> Iterator[str]:
    return lines if tail is None else iter(deque(lines, maxlen=tail))


def _label(log: Log, text: str, count: int) -> Line:
    return Line(log.source, text, f"[{log.source}] " if count > 1 else "")
