"""Ctrl-C as a request, for work that has to come to an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ctrl_c_asks() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether Ctrl-C was pressed; within the block it interrupts nothing, a second one does.

    An exception could come in the middle of a delivery report and tear what is counted there.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
