"""Dead letters: what one tells, which are wanted, and how many there are of a kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from consumers.records import Record
from iothub.errors import UsageError
from iothub.kafka.records import find_device
from telemetry import headers as h

_PLACE = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")

LetterPlace = tuple[int, int]
"""Partition and offset of a dead letter in its topic."""


class By(StrEnum):
    """What dead letters are counted by."""

    REASON = "reason"
    DEVICE = "device"
    CONSUMER = "consumer"
    TOPIC = "topic"
    STAGE = "stage"


@dataclass(frozen=True)
class Letter:
    """A record of the dead-letter topic, read. What a header does not tell is None."""

    record: Record

    @property
    def place(self) -> LetterPlace:
        """Where it lies in the dead-letter topic."""
        return self.record.partition, self.record.offset

    @property
    def reason(self) -> str | None:
        """The stable code of why it is dead."""
        return self.record.header(h.DLQ_REASON)

    @property
    def message(self) -> str | None:
        """The sentence for a person."""
        return self.record.header(h.ERROR_MESSAGE)

    @property
    def stage(self) -> str | None:
        """The step at which it failed."""
        return self.record.header(h.ERROR_STAGE)

    @property
    def consumer(self) -> str | None:
        """The group that it failed in; of ingestion, its name."""
        return self.record.header(h.DLQ_CONSUMER)

    @property
    def topic(self) -> str | None:
        """The topic that it was in; None for what never got into one."""
        return self.record.header(h.ERROR_TOPIC)

    @property
    def device(self) -> str | None:
        """The device that it is of."""
        return find_device(self.record)

    @property
    def id(self) -> str | None:
        """The message's id."""
        return self.record.header(h.ID)

    @property
    def is_truncated(self) -> bool:
        """Whether only its first kilobyte is there."""
        return self.record.header(h.DLQ_TRUNCATED) == "true"

    @property
    def replays(self) -> int:
        """How often the message had been replayed when it died."""
        text = self.record.header(h.REPLAY_ATTEMPT) or ""
        return int(text) if text.isdecimal() else 0

    def describe(self, by: By) -> str | None:
        """Return what ``by`` names of it."""
        match by:
            case By.REASON:
                return self.reason
            case By.DEVICE:
                return self.device
            case By.CONSUMER:
                return self.consumer
            case By.TOPIC:
                return self.topic
            case By.STAGE:
                return self.stage


@dataclass(frozen=True)
class LetterFilter:
    """Which dead letters are wanted; what is not set leaves nothing out. Times are Kafka's of the dead letter."""

    reasons: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    consumers: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""

    @property
    def is_open(self) -> bool:
        """Whether everything is wanted."""
        return self == LetterFilter()

    def matches(self, letter: Letter) -> bool:
        """Return whether ``letter`` is wanted."""
        stamp = letter.record.timestamp / 1000
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.devices or letter.device in self.devices)
            and (not self.consumers or letter.consumer in self.consumers)
            and (self.since is None or stamp >= self.since.timestamp())
            and (self.until is None or stamp < self.until.timestamp())
        )


@dataclass
class LetterCount:
    """How many dead letters have one thing in common. Times are milliseconds since the epoch."""

    value: str | None
    number: int
    replayed: int
    first: int
    last: int
    example: LetterPlace
    """Of the last one."""


def count_letters(
    letters: Iterable[Letter], by: By, was_replayed: Callable[[Letter], bool] = lambda letter: False
) -> list[LetterCount]:
    """Count ``letters`` by what ``by`` names, the most frequent first."""
    counts: dict[str | None, LetterCount] = {}
    for letter in letters:
        value, stamp = letter.describe(by), letter.record.timestamp
        count = counts.get(value)
        if count is None:
            count = counts[value] = LetterCount(value, 0, 0, stamp, stamp, letter.place)
        count.number += 1
        count.replayed += was_replayed(letter)
        count.first = min(count.first, stamp)
        if stamp >= count.last:
            count.last, count.example = stamp, letter.place
    return sorted(counts.values(), key=lambda count: (-count.number, count.value or ""))


def parse_letter_place(text: str) -> LetterPlace:
    """Return partition and offset of ``PARTITION:OFFSET``. Raises UsageError."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no place of a dead letter: write PARTITION:OFFSET, such as 0:17")
    return int(match[1]), int(match[2])


def format_letter_place(place: LetterPlace) -> str:
    """Return ``PARTITION:OFFSET``."""
    return f"{place[0]}:{place[1]}"
