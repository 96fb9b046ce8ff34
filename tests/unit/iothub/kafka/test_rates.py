"""Lag, rates and the time to drain, from what Kafka tells."""

from __future__ import annotations

import math

import pytest

from iothub.kafka.facts import GroupLag, LagReading, PartitionFacts, PartitionLag, TopicFacts, total_lag
from iothub.kafka.rates import LagRow, build_lag_rows


def reading(at: float, *places: tuple[str, int, int | None, int | None], group: str = "g") -> LagReading:
    """Return a reading of one group: of each place its topic, partition, committed offset and latest one."""
    return LagReading(at, (GroupLag(group, tuple(PartitionLag(t, p, c, 0, latest) for t, p, c, latest in places)),))


@pytest.mark.parametrize(
    ("committed", "earliest", "latest", "lag"),
    [
        (5, 0, 12, 7),
        (12, 0, 12, 0),
        (None, 0, 12, None),
        (5, 0, None, None),
        (5, 10, 12, 2),
        (20, 0, 12, 0),
    ],
    ids=["behind", "level", "nothing committed", "no leader", "retention has deleted some", "a topic made anew"],
)
def test_lag(committed: int | None, earliest: int, latest: int | None, lag: int | None) -> None:
    assert PartitionLag("t", 0, committed, earliest, latest).lag == lag


def test_what_is_unknown_is_not_counted_as_nothing() -> None:
    known, unknown = PartitionLag("t", 0, 5, 0, 12), PartitionLag("t", 1, None, 0, 12)
    assert total_lag([known, unknown]) == 7
    assert total_lag([unknown]) is None
    assert total_lag([]) is None
    assert GroupLag("g", (unknown,)).lag is None


def test_rates_are_those_of_the_time_between() -> None:
    before = reading(10, ("a", 0, 0, 100), ("a", 1, 50, 100), ("b", 0, 7, 7))
    after = reading(14, ("a", 0, 20, 100), ("a", 1, 90, 108), ("b", 0, 7, 7))
    assert build_lag_rows(before, after) == [
        LagRow("g", "a", None, 98, 2.0, 15.0),
        LagRow("g", "b", None, 0, 0.0, 0.0),
    ]
    assert build_lag_rows(before, after, by_partition=True)[:2] == [
        LagRow("g", "a", 0, 80, 0.0, 5.0),
        LagRow("g", "a", 1, 18, 2.0, 10.0),
    ]


def test_a_first_commit_is_no_rate_and_a_reset_no_consumption() -> None:
    before = reading(0, ("a", 0, None, 10), ("b", 0, 9, 10))
    after = reading(1, ("a", 0, 10, 10), ("b", 0, 2, 10))
    assert [row.consumed for row in build_lag_rows(before, after)] == [None, 0.0]


def test_a_group_that_came_in_between_has_no_rates() -> None:
    rows = build_lag_rows(reading(0, ("a", 0, 0, 10), group="other"), reading(1, ("a", 0, 0, 10)))
    assert rows == [LagRow("g", "a", None, 10, None, None)]


@pytest.mark.parametrize(
    ("lag", "produced", "consumed", "drain"),
    [
        (100, 10.0, 20.0, 10.0),
        (100, 0.0, 0.0, math.inf),
        (100, 20.0, 10.0, math.inf),
        (0, 20.0, 10.0, 0.0),
        (0, None, None, 0.0),
        (None, 1.0, 1.0, None),
        (100, None, 1.0, None),
        (100, 1.0, None, None),
    ],
)
def test_time_to_drain(lag: int | None, produced: float | None, consumed: float | None, drain: float | None) -> None:
    assert LagRow("g", "t", None, lag, produced, consumed).drain_seconds == drain


def test_a_topic_with_a_partition_that_cannot_tell_does_not_pretend_to_know_its_messages() -> None:
    whole, broken = PartitionFacts(0, 1, 3, 3, 5, 12), PartitionFacts(1, None, 3, 0, None, None)
    assert TopicFacts("t", (whole,)).messages == 7
    assert TopicFacts("t", (whole, broken)).messages is None
    assert (TopicFacts("__x", ()).internal, TopicFacts("t", (whole,)).replication) == (True, 3)
