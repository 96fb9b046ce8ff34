"""Counting dead letters by the group that they failed in, from their headers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

CONSUMER = "dlq.consumer"
REASON = "dlq.reason"
AT = "dlq.at"

Headers = Sequence[tuple[str, str | bytes | None]] | Mapping[str, str | bytes | None]

_GROUPS = 10_000
"""Groups that are told apart. Anybody may write to a topic; memory stays bounded."""
_REASON_CHARACTERS = 128


@dataclass(frozen=True)
class Tally:
    """The dead letters of one group."""

    count: int
    last_reason: str | None
    last_at: datetime | None


class Tallies:
    """The dead letters of a topic, counted by group."""

    def __init__(self) -> None:
        self._groups: dict[str, Tally] = {}

    def get(self, group: str) -> Tally:
        """Return what was counted of ``group``."""
        return self._groups.get(group) or Tally(0, None, None)

    def take(self, headers: Headers, timestamp: int) -> None:
        """Count one record; ``timestamp`` is Kafka's, in milliseconds, for where the header tells no time."""
        said = dict(headers)  # the last one of a name counts
        group = _to_text(said.get(CONSUMER))
        if group is None:
            return  # no dead letter of ours
        known = self._groups.get(group)
        if known is None and len(self._groups) >= _GROUPS:
            return
        at = _parse_time(_to_text(said.get(AT)), timestamp)
        count = known.count + 1 if known is not None else 1
        if known is not None and known.last_at is not None and (at is None or at < known.last_at):
            # Partitions are read one after the other, not by time.
            self._groups[group] = Tally(count, known.last_reason, known.last_at)
        else:
            self._groups[group] = Tally(count, _clean(_to_text(said.get(REASON))), at)


def _to_text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _clean(reason: str | None) -> str | None:
    """Return a reason as a status can show it: whoever writes to the topic may write anything."""
    if reason is None:
        return None
    printable = "".join(character if character.isprintable() else "?" for character in reason[:_REASON_CHARACTERS])
    return printable or None


def to_time(milliseconds: int) -> datetime | None:
    """Return Kafka's time of a record, None where it has none."""
    if milliseconds < 0:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _parse_time(text: str | None, timestamp: int) -> datetime | None:
    if text is not None:
        try:
            at = datetime.fromisoformat(text)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    return to_time(timestamp)
