"""Where reading a topic begins, as it is written on the command line. Pure.

beginning, end      the oldest message there is; only what comes from now on
-20                 the last 20 messages
2026-02-20T22:45Z   what was written at that time or later (RFC 3339; UTC where it names no zone)
15m ago             the same, back from now: s, m, h, d, w
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from iothub.errors import UsageError
from telemetry.timestamps import parse_timestamp

_AGO = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[smhdw])(?:\s+ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Beginning:
    """At the oldest message there is."""


@dataclass(frozen=True)
class End:
    """Behind the newest one."""


@dataclass(frozen=True)
class Last:
    """At the last so many messages of the whole topic, by their time."""

    number: int


@dataclass(frozen=True)
class Since:
    """At what has this timestamp or a later one."""

    moment: datetime

    @property
    def milliseconds(self) -> int:
        """The moment as Kafka has it."""
        return int(self.moment.timestamp() * 1000)


@dataclass(frozen=True)
class At:
    """At this offset, in each partition that is read."""

    offset: int


Start = Beginning | End | Last | Since | At


def parse_start(text: str, now: datetime) -> Start:
    """Return what ``text`` names. Raises UsageError that says what can be written."""
    if text == "beginning":
        return Beginning()
    if text == "end":
        return End()
    if re.fullmatch(r"-[0-9]{1,9}", text):
        return Last(-int(text))
    try:
        return Since(parse_moment(text, now))
    except UsageError:
        raise UsageError(
            f"{text!r} is no place in a topic: write beginning, end, -20 for the last 20 messages, "
            "'15m ago', or a time like 2026-02-20T22:45:00Z"
        ) from None


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the moment that ``text`` names: RFC 3339, or so long before ``now``. Raises UsageError."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago["unit"]]: float(ago["number"])})
        return parse_timestamp(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time: write one like 2026-02-20T22:45:00Z, or '15m ago'") from None
