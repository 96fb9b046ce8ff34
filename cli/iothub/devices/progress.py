"""How far a simulation is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from iothub.devices.counts import Counts
from iothub.terminal import Terminal

_LINE_EVERY = 5.0


class Progress(Protocol):
    """Is told, several times a second, how far it is."""

    def update(self, counts: Counts, *, away: bool) -> None:
        """Show it."""


@contextmanager
def open_progress(terminal: Terminal, total: int | None, seconds: float | None) -> Iterator[Progress]:
    """Yield what shows the progress of ``total`` messages on standard error; None where there is no end to them."""
    if not terminal.err.is_terminal:
        yield _Lines(terminal, total)
        return
    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn() if total is not None else TextColumn("{task.completed}"),
        TextColumn("acknowledged"),
        TimeElapsedColumn(),
    ]
    if total is not None and seconds is None:
        columns.append(TimeRemainingColumn())
    with Bar(*columns, console=terminal.err, transient=True) as bar:
        yield _OnTerminal(bar, total)


class _OnTerminal:
    def __init__(self, bar: Bar, total: int | None) -> None:
        self._bar = bar
        self._task = bar.add_task("publishing", total=total)

    def update(self, counts: Counts, *, away: bool) -> None:
        description = "reconnecting" if away else "publishing"
        self._bar.update(self._task, completed=counts.acknowledged, description=description)


class _Lines:
    def __init__(self, terminal: Terminal, total: int | None) -> None:
        self._say = terminal.say
        self._of = "" if total is None else f" of {total}"
        self._next = time.monotonic() + _LINE_EVERY

    def update(self, counts: Counts, *, away: bool) -> None:
        if time.monotonic() < self._next:
            return
        self._next += _LINE_EVERY
        trouble = "; the broker is away, reconnecting" if away else ""
        self._say(f"sent {counts.sent}{self._of}, acknowledged {counts.acknowledged}{trouble}")
