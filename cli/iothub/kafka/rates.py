"""From two readings of groups' places to rates and the time until nothing is left to handle."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from iothub.kafka.client import Kafka
from iothub.kafka.facts import GroupLag, LagReading, PartitionLag, read_lag, total_lag


@dataclass(frozen=True)
class LagRow:
    """How far a group is in a topic or, with ``partition``, in one partition of it. Rates are messages a second."""

    group: str
    topic: str
    partition: int | None
    lag: int | None
    """None where the group has committed nothing yet."""
    produced: float | None
    consumed: float | None

    @property
    def drain_seconds(self) -> float | None:
        """Seconds until the group has caught up: 0 where it has, infinite where it falls behind, None if unknown."""
        if self.lag == 0:
            return 0.0
        if self.lag is None or self.produced is None or self.consumed is None:
            return None
        gain = self.consumed - self.produced
        return self.lag / gain if gain > 0 else math.inf


def measure_lag(
    kafka: Kafka, groups: Collection[str], *, window: float, by_partition: bool = False
) -> Iterator[list[LagRow]]:
    """Yield rows for ``groups`` (or all that are known) each ``window`` seconds, without end. Raises CliError."""
    before = read_lag(kafka, groups)
    while True:
        time.sleep(window)
        after = read_lag(kafka, groups)
        yield build_lag_rows(before, after, by_partition=by_partition)
        before = after


def build_lag_rows(before: LagReading, after: LagReading, *, by_partition: bool = False) -> list[LagRow]:
    """Return a row for each group and topic (or partition) of ``after``, with the rates since ``before``. Pure."""
    seconds = after.at - before.at
    earlier = {
        (group.group, place.topic, place.partition): place for group in before.groups for place in group.partitions
    }
    rows = []
    for group in after.groups:
        for places in _split(group, by_partition=by_partition):
            olds = [earlier.get((group.group, place.topic, place.partition)) for place in places]
            rows.append(
                LagRow(
                    group.group,
                    places[0].topic,
                    places[0].partition if by_partition else None,
                    total_lag(places),
                    _rate(places, olds, lambda place: place.latest, seconds),
                    _rate(places, olds, lambda place: place.committed, seconds),
                )
            )
    return rows


def _split(group: GroupLag, *, by_partition: bool) -> Iterable[list[PartitionLag]]:
    if by_partition:
        return [[place] for place in group.partitions]
    return [[place for place in group.partitions if place.topic == topic] for topic in group.topics]


def _rate(
    places: Sequence[PartitionLag],
    olds: Sequence[PartitionLag | None],
    offset: Callable[[PartitionLag], int | None],
    seconds: float,
) -> float | None:
    if seconds <= 0:
        return None
    moves = []
    for place, old in zip(places, olds, strict=True):
        now, then = offset(place), offset(old) if old is not None else None
        if now is not None and then is not None:
            # An offset that was set back is no consumption.
            moves.append(max(0, now - then))
    return sum(moves) / seconds if moves else None
