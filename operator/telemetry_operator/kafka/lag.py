"""From offsets to lags. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from telemetry_operator.kafka.facts import Place


class Span(NamedTuple):
    """What a partition holds: the first offset, and the one that its next message will get."""

    low: int
    high: int


@dataclass(frozen=True)
class Lag:
    """The lag of a group: in all, by topic, and the number of partitions without an offset of it."""

    total: int | None
    by_topic: Mapping[str, int | None]
    uncommitted: int


def compute_lag(
    partitions: Mapping[str, Iterable[int]], committed: Mapping[Place, int], spans: Mapping[Place, Span]
) -> Lag:
    """Return the lag in ``partitions``, those of every topic that there is.

    A group that has begun reads a partition without an offset from its start, as workers and operator see to (a
    partition that was added must not be skipped). Before it has begun nobody knows where it will: None.
    """
    places = {topic: [(topic, number) for number in numbers] for topic, numbers in partitions.items()}
    every = [place for own in places.values() for place in own]
    uncommitted = sum(place not in committed for place in every)
    begun = uncommitted < len(every)
    by_topic: dict[str, int | None] = {
        topic: _add(compute_partition_lag(committed.get(place), spans.get(place)) if begun else None for place in own)
        for topic, own in places.items()
    }
    return Lag(_add(by_topic.values()) if by_topic else None, by_topic, uncommitted)


def compute_partition_lag(committed: int | None, span: Span | None) -> int | None:
    """Return the messages that are left of a partition, None where it does not tell what it holds.

    An offset outside of what it holds (deleted by retention, or of a topic that was made anew) leads workers to its
    start, and so does none.
    """
    if span is None:
        return None
    inside = committed is not None and span.low <= committed <= span.high
    return span.high - (committed if inside and committed is not None else span.low)


def _add(lags: Iterable[int | None]) -> int | None:
    total = 0
    for lag in lags:
        if lag is None:
            return None
        total += lag
    return total
