"""A program that the hub runs, described; nothing here starts one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """What to run, when it is up, and how to end it."""

    name: str
    """Short, for logs and screens: ``kafka``, ``mqtt``, ``ingestion-mqtt``, a pod's name."""
    command: Sequence[str]
    is_ready: Callable[[], bool]
    """Asked, on a thread of its own, until it says yes; quick, and never raises."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the variables that every program gets."""
    start_seconds: float = 60
    """How long it may take to become ready."""
    stop_seconds: float = 30
    """How long it may take to end in order before it is killed."""
    stop_signal: signal.Signals = signal.SIGTERM
