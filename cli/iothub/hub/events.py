"""What the hub tells while it runs: a sentence for a person, with a word or two for a program."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


class Event(str):
    """Something that happened. It is its sentence; ``kind`` and ``subject`` are for programs."""

    kind: str
    """In one word, like ``started``, ``ready``, ``ended``, ``file``, ``limit``."""
    subject: str
    """What it is about: a part, a TelemetryConsumer, a file."""

    def __new__(cls, sentence: str, *, kind: str, subject: str = "hub") -> Event:
        """Make one from its sentence."""
        event = super().__new__(cls, sentence)
        event.kind = kind
        event.subject = subject
        return event


def format_now() -> str:
    """Return the time, in UTC, as events bear it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Report = Callable[[Event], None]
