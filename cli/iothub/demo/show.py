"""Where the demonstration is seen: the whole terminal, or a line now and then where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live

from iothub.demo.screen import render_screen
from iothub.demo.snapshot import Snapshot
from iothub.errors import UsageError
from iothub.terminal import Terminal

_LINE_EVERY = 5.0
_NOBODY_LOOKS = (OSError, SystemExit)
"""How writing fails to a terminal that is closed; rich makes SystemExit of a pipe's reader that has gone."""
_PICTURE_WIDTH, _PICTURE_HEIGHT = 104, 34


class Show(Protocol):
    """What a demonstration is shown on."""

    def update(self, snapshot: Snapshot) -> None:
        """Show how things stand; called several times a second."""

    def tell(self, sentence: str) -> None:
        """Tell what just happened."""


@contextmanager
def open_show(terminal: Terminal) -> Iterator[Show]:
    """Yield the screen, on standard error, where that is a terminal; else what writes lines there."""
    if not terminal.err.is_terminal or terminal.err.is_dumb_terminal:
        yield _WhileSeen(_Lines(terminal))
        return
    live = Live(console=terminal.err, screen=True, auto_refresh=False, vertical_overflow="crop")
    live.start()
    try:
        yield _WhileSeen(_Screen(live))
    finally:
        with suppress(*_NOBODY_LOOKS):
            live.stop()


class _WhileSeen:
    """Falls silent once nobody can look any more: the demonstration still ends in order, with its count."""

    def __init__(self, show: Show) -> None:
        self._show: Show | None = show

    def update(self, snapshot: Snapshot) -> None:
        try:
            if self._show is not None:
                self._show.update(snapshot)
        except _NOBODY_LOOKS:
            self._show = None

    def tell(self, sentence: str) -> None:
        try:
            if self._show is not None:
                self._show.tell(sentence)
        except _NOBODY_LOOKS:
            self._show = None


class _Screen:
    def __init__(self, live: Live) -> None:
        self._live = live

    def update(self, snapshot: Snapshot) -> None:
        width, height = self._live.console.size
        self._live.update(render_screen(snapshot, width, height), refresh=True)

    def tell(self, sentence: str) -> None:
        """Nothing: the snapshot has it."""


class _Lines:
    def __init__(self, terminal: Terminal) -> None:
        self._say = terminal.say
        self._next = 0.0
        self._has_readings = False

    def update(self, snapshot: Snapshot) -> None:
        if snapshot.readings and not self._has_readings:
            self._has_readings = True
            reading = snapshot.readings[0]
            self._say(f"the first reading: {reading.device}: {reading.values}")
        if snapshot.passed and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY
            counts = ", ".join(f"{flow.name} {flow.total}" for flow in snapshot.flows)
            problems = "".join(f"; {problem}" for problem in snapshot.problems)
            self._say(f"{snapshot.passed:.0f} of {snapshot.seconds:.0f} s: {counts}{problems}")

    def tell(self, sentence: str) -> None:
        self._say(sentence)


def check_picture(path: Path) -> None:
    """Raise UsageError where a picture can't be written to ``path``, before a minute has passed."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"can't write a picture to {path}: name a file in a folder that is there")


def write_picture(snapshot: Snapshot, path: Path) -> None:
    """Write the screen as SVG. Raises UsageError where that can't be."""
    console = Console(
        record=True,
        file=StringIO(),
        width=_PICTURE_WIDTH,
        height=_PICTURE_HEIGHT,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(render_screen(snapshot, _PICTURE_WIDTH, _PICTURE_HEIGHT))
    try:
        path.write_text(console.export_svg(title="iothub demo"), "utf-8")
    except OSError as error:
        raise UsageError(f"can't write the picture to {path}: {error.strerror}") from error
