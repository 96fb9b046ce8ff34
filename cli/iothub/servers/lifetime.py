"""How long a server that is a Python process of ours lives: until it is told to end, or until its parent is gone."""

from __future__ import annotations

import os
import signal
import threading

_LOOK_EVERY = 0.5

_parent = os.getppid()
"""The process that started this one, as it was when this module was imported: first thing in each of ours."""


def wait_for_the_end() -> None:
    """Return once SIGTERM or SIGINT has come, or the process that started this one is gone.

    A killed hub so leaves none behind. Not by the kernel's parent-death signal: that one comes when the *thread* ends
    that started us.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(_LOOK_EVERY):
        if is_orphan():
            return


def is_orphan() -> bool:
    """Return whether the process that started this one is gone."""
    return os.getppid() != _parent
