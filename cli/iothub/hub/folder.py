"""The hub's folder: every path in it, who holds it, and what its logs may grow to.

$XDG_STATE_HOME/iot-hub/NAME/
  lock                 held (flock) by the hub that runs; says which process that is
  state.json           `iothub.hub.state`, there while devices can publish
  control.sock         what other terminals talk to
  processes.json       `iothub.hub.leftovers`
  logs/PART.log        what a part of the hub writes, and PART.previous.log of its run before
  pods/NAMESPACE/CONSUMER/POD/   a worker's logs, files and last words
  data/                what Kafka and the MQTT broker keep
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from iothub.errors import UsageError
from iothub.hub.state import STATE_FILE, folder_of, is_process

LOG_BYTES = 8 * 1024 * 1024
"""What one log may grow to before its older half moves to PART.previous.log."""
_SOCKET_CHARACTERS = 100
"""Longest path that a Unix socket takes everywhere (sun_path has 104 bytes on BSD, 108 on Linux)."""


@dataclass(frozen=True)
class Folder:
    """The folder of one hub."""

    path: Path

    @classmethod
    def of(cls, name: str) -> Folder:
        """Return the folder of the hub ``name``. Raises UsageError where that can't be a hub's name."""
        if not name or name in {".", ".."} or "/" in name or len(name) > 100 or not name.isprintable():
            raise UsageError(
                f"{name!r} can't be a hub's name: write a short one without slashes, for example --name lab"
            )
        return cls(folder_of(name))

    @property
    def state(self) -> Path:
        """Where everything is, for other commands."""
        return self.path / STATE_FILE

    @property
    def lock(self) -> Path:
        """Held while a hub runs."""
        return self.path / "lock"

    @property
    def processes(self) -> Path:
        """Notes of what was started."""
        return self.path / "processes.json"

    @property
    def logs(self) -> Path:
        """Logs of the hub's parts."""
        return self.path / "logs"

    @property
    def pods(self) -> Path:
        """Folders of the workers."""
        return self.path / "pods"

    @property
    def data(self) -> Path:
        """What the servers keep."""
        return self.path / "data"

    @property
    def socket(self) -> Path:
        """The control socket; outside of the folder where the folder's path is too long for a socket."""
        path = self.path / "control.sock"
        if len(os.fsencode(path)) <= _SOCKET_CHARACTERS:
            return path
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"iot-hub-{os.getuid()}-{digest}.sock"

    def part_log(self, part: str) -> Path:
        """Return the log of a part of the hub."""
        return self.logs / f"{part}.log"

    def pod(self, namespace: str, consumer: str, pod: str) -> Path:
        """Return the folder of a worker."""
        return self.pods / namespace / consumer / pod

    def prepare(self, *, fresh: bool) -> None:
        """Make the folder; what the last run's workers left goes, with ``fresh`` also what its servers kept."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self.pods, ignore_errors=True)
        if fresh:
            shutil.rmtree(self.data, ignore_errors=True)
        for folder in (self.logs, self.pods, self.data):
            folder.mkdir(exist_ok=True)


@dataclass(frozen=True)
class Holder:
    """The process that holds a hub's folder."""

    pid: int
    created: float

    @property
    def is_there(self) -> bool:
        """Whether it still runs."""
        return is_process(self.pid, self.created)


class Lock:
    """Keeps a second hub out of the folder. The kernel lets go of it however the process ends."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Take the lock and say whose it is; return False where another process has it."""
        self._folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder.lock.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        me = psutil.Process()
        file.truncate(0)
        file.write(json.dumps({"pid": me.pid, "created": me.create_time()}))
        file.flush()
        self._file = file
        return True

    def release(self) -> None:
        """Let the next one in."""
        if self._file is not None:
            with suppress(OSError):  # what it says of us then names a process that is gone
                self._file.truncate(0)
            self._file.close()
            self._file = None


def find_holder(folder: Folder) -> Holder | None:
    """Return the process that holds the folder, None where none does: also while it only starts or ends."""
    try:
        said = json.loads(folder.lock.read_text("utf-8"))
        holder = Holder(int(said["pid"]), float(said["created"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return holder if holder.is_there else None


def previous_log(log: Path) -> Path:
    """Return where the log of the run before this one is."""
    return log.with_name(f"{log.stem}.previous.log")


def begin_log(log: Path) -> None:
    """Make room for a new run's log: the last one's is kept, the one before goes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size:
        log.replace(previous_log(log))


def bound_log(log: Path, limit: int = LOG_BYTES) -> None:
    """Move what a log has beyond ``limit`` aside. The writer goes on in the same file: it appends."""
    try:
        if log.stat().st_size > limit:
            shutil.copyfile(log, previous_log(log))
            os.truncate(log, 0)
    except OSError:
        return  # gone with its worker, or the disk is full: the next look may do better


def read_tail(log: Path, *, lines: int = 80, most: int = 2048) -> str:
    """Return the end of a log, as the kubelet cuts it for last words."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - most))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
