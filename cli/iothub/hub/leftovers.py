"""What a killed hub left running: every process that is started is noted, and what is noted can be ended later.

A process id alone says little, since ids are given out again; with the time of its creation it names one process for
good. Nothing is ended by its name.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from iothub.hub.state import is_process

END_SECONDS = 10.0
"""How long what is left over may take to end in order."""
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Note:
    """A process that the hub started, the first of its own group."""

    name: str
    pid: int
    created: float


class Notes:
    """The notes of what runs, on disk from the moment it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes: dict[int, Note] = {}

    def add(self, name: str, pid: int) -> None:
        """Note a process that has just been started."""
        with suppress(psutil.NoSuchProcess):
            self._notes[pid] = Note(name, pid, psutil.Process(pid).create_time())
            self._write()

    def remove(self, pid: int) -> None:
        """Forget a process that has ended."""
        if self._notes.pop(pid, None) is not None:
            self._write()

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps([asdict(note) for note in self._notes.values()]), "utf-8")
            new.replace(self._path)
        except OSError:
            # A full disk must not stop what runs; the kernel ends it with us where it can.
            return


def read_notes(path: Path) -> list[Note]:
    """Return the noted processes that still run."""
    try:
        notes = [Note(str(n["name"]), int(n["pid"]), float(n["created"])) for n in json.loads(path.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [note for note in notes if is_process(note.pid, note.created)]


def end_leftovers(path: Path, *, seconds: float = END_SECONDS) -> list[Note]:
    """End every noted process that still runs, in order where it can, and return which those were. Blocks."""
    left = read_notes(path)
    _signal(left, signal.SIGTERM)
    _signal(left, signal.SIGCONT)  # a frozen one does not hear the first
    deadline = time.monotonic() + seconds
    while _still_there(left) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    _signal(_still_there(left), signal.SIGKILL)
    while _still_there(left):
        time.sleep(_LOOK_SECONDS)
    path.unlink(missing_ok=True)
    return left


def kill_noted(path: Path) -> None:
    """End every noted process at once."""
    _signal(read_notes(path), signal.SIGKILL)


def _still_there(notes: Iterable[Note]) -> list[Note]:
    return [note for note in notes if is_process(note.pid, note.created)]


def _signal(notes: Iterable[Note], number: signal.Signals) -> None:
    for note in _still_there(notes):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(note.pid, number)
