"""What goes into a handler and what comes out: records, and the words for what is to become of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from telemetry.dead_letters import Stage
from telemetry.headers import Headers, get_header

_LONGEST_AFTER = 86_400


class Record(NamedTuple):
    """One message with what Kafka knows of it.

    ``value`` is what JSON decoding made of it, or the bytes; ``timestamp`` is milliseconds since the epoch.
    """

    value: Any
    key: bytes | None
    headers: Headers
    topic: str
    partition: int
    offset: int
    timestamp: int

    def header(self, name: str) -> str | None:
        """Return the last header called ``name`` as text, or None."""
        return get_header(self.headers, name)


class Outgoing(NamedTuple):
    """A message for Kafka to have before the input's offset moves on. Without a topic it goes to the output topic."""

    topic: str | None = None
    value: Any = None
    key: str | bytes | None = None
    headers: Sequence[tuple[str, str | bytes | None]] = ()


class Reject(Exception):
    """Raised, returned or yielded by a handler: this message can never be handled, put it on the dead-letter topic.

    ``reason`` is a short stable code, ``message`` a sentence for a person, ``index`` the place of the message in its
    batch. When raised in a batch, the others are handed to the handler again, without it. ``stage`` tells a message
    that breaks a rule of its schema (``validate``) from one that a handler can't do anything with.
    """

    # For subclasses whose __init__ does not call this one.
    reason = "rejected"
    index: int | None = None
    stage: Stage = "handle"

    def __init__(self, reason: str, message: str, index: int | None = None, *, stage: Stage = "handle") -> None:
        if not isinstance(reason, str) or not isinstance(message, str):
            raise TypeError("Reject takes a reason and a message, both strings")
        if index is not None and (not isinstance(index, int) or isinstance(index, bool)):
            raise TypeError(f"Reject's index is the message's place in its batch, a number: not {index!r}")
        if stage not in get_args(Stage):
            raise ValueError(f"Reject's stage is one of {', '.join(get_args(Stage))}, not {stage!r}")
        super().__init__(message)
        self.reason = reason
        self.index = index
        self.stage = stage


class RetryLater(Exception):
    """Raised by a handler: this can't be handled now, hand it over again in ``after`` seconds (or growing waits).

    Nothing is skipped meanwhile, and it does not count as a failed attempt.
    """

    after: float | None = None

    def __init__(self, message: str = "", after: float | None = None) -> None:
        if after is not None and not 0 <= after <= _LONGEST_AFTER:
            raise ValueError(f"RetryLater's after is a number of seconds from 0 to {_LONGEST_AFTER}, not {after!r}")
        super().__init__(message)
        self.after = after
