"""Where a group's offsets are to go, from words to numbers. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from telemetry_operator.kafka.facts import Place, StartFrom
from telemetry_operator.kafka.lag import Span

_SHIFT = re.compile(r"[+-][0-9]{1,18}", re.ASCII)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_START_ADVICE = "write earliest, latest, or a time with its zone such as 2026-02-20T22:45:00Z"
_ADVICE = "write earliest, latest, a time with its zone such as 2026-02-20T22:45:00Z, or a shift such as -1000 or +10"


@dataclass(frozen=True)
class Shift:
    """So many messages on, or back, in each partition."""

    by: int


Target = StartFrom | Shift


@dataclass(frozen=True)
class Reset:
    """What a reset has done."""

    group: str
    before: Mapping[Place, int | None]
    """The offsets that the group had; None where it had none."""
    after: Mapping[Place, int]
    done_before: bool
    """Whether this very reset was found to have been done already, and nothing was changed."""

    @property
    def moved(self) -> int:
        """By how many messages the group was moved on (negative: back), over all partitions that had an offset."""
        return sum(
            offset - before for place, offset in self.after.items() if (before := self.before.get(place)) is not None
        )


def parse_start(text: str) -> StartFrom:
    """Return where a new group is to begin: ``earliest``, ``latest`` or an RFC 3339 time.

    Raises ValueError with a sentence that says what to write.
    """
    return _parse_start(text, _START_ADVICE)


def parse_target(text: str) -> Target:
    """Return where a reset is to lead: what `parse_start` takes, or a shift with its sign, ``-1000`` or ``+10``.

    Raises ValueError with a sentence that says what to write.
    """
    return Shift(int(text)) if _SHIFT.fullmatch(text) else _parse_start(text, _ADVICE)


def _parse_start(text: str, advice: str) -> StartFrom:
    if text == "earliest":
        return "earliest"
    if text == "latest":
        return "latest"
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no place in a topic: {advice}")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time that ever was ({error}): {advice}") from error


def compute_offsets(
    target: Target,
    places: Collection[Place],
    spans: Mapping[Place, Span],
    *,
    committed: Mapping[Place, int],
    times: Mapping[Place, int],
) -> dict[Place, int]:
    """Return where each of ``places`` is to go; always within what it holds.

    ``times`` has the first offset that is as young as the target, where the target is a time and there is one: else
    the end. A shift leaves a partition out that the group has no offset for: there is nothing to shift.
    """
    offsets: dict[Place, int] = {}
    for place in places:
        low, high = spans[place]
        match target:
            case "earliest":
                wanted = low
            case "latest":
                wanted = high
            case Shift(by):
                if place not in committed:
                    continue
                wanted = committed[place] + by
            case _:
                wanted = times.get(place, high)
        offsets[place] = min(max(low, wanted), high)
    return offsets
