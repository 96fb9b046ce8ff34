"""From offsets to lags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator.kafka.lag import Span, compute_lag, compute_partition_lag

SPANS = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda ends: Span(min(ends), max(ends)))


@pytest.mark.parametrize(
    ("committed", "span", "lag"),
    [
        (0, Span(0, 10), 10),
        (10, Span(0, 10), 0),
        (4, Span(2, 10), 6),
        (1, Span(2, 10), 8),  # deleted by retention before it was read
        (11, Span(2, 10), 8),  # the topic was made anew
        (None, Span(2, 10), 8),
        (0, Span(0, 0), 0),
        (3, None, None),
    ],
)
def test_lag_of_a_partition(committed: int | None, span: Span | None, lag: int | None) -> None:
    assert compute_partition_lag(committed, span) == lag


@given(st.integers(-(10**12), 10**12) | st.none(), SPANS)
def test_a_partition_never_lags_by_less_than_nothing_or_more_than_it_holds(committed: int | None, span: Span) -> None:
    lag = compute_partition_lag(committed, span)
    assert lag is not None
    assert 0 <= lag <= span.high - span.low


def test_the_sum_is_over_all_topics_and_each_has_its_own() -> None:
    spans = {("a", 0): Span(0, 10), ("a", 1): Span(0, 10), ("b", 0): Span(0, 5)}
    lag = compute_lag({"a": [0, 1], "b": [0]}, {("a", 0): 10, ("a", 1): 7, ("b", 0): 0}, spans)
    assert (lag.total, lag.by_topic, lag.uncommitted) == (8, {"a": 3, "b": 5}, 0)


def test_before_a_group_has_begun_nobody_knows() -> None:
    lag = compute_lag({"a": [0, 1]}, {}, {("a", 0): Span(0, 10), ("a", 1): Span(0, 10)})
    assert (lag.total, lag.by_topic, lag.uncommitted) == (None, {"a": None}, 2)


def test_offsets_in_other_topics_are_no_beginning() -> None:
    assert compute_lag({"a": [0]}, {("other", 0): 3}, {("a", 0): Span(0, 10)}).total is None


def test_a_partition_that_was_added_is_read_from_its_start() -> None:
    lag = compute_lag({"a": [0, 1]}, {("a", 0): 10}, {("a", 0): Span(0, 10), ("a", 1): Span(2, 6)})
    assert (lag.total, lag.uncommitted) == (4, 1)


def test_a_partition_that_does_not_tell_leaves_no_sum() -> None:
    lag = compute_lag(
        {"a": [0, 1], "b": [0]}, {("a", 0): 1, ("b", 0): 1}, {("a", 0): Span(0, 10), ("b", 0): Span(0, 2)}
    )
    assert (lag.total, lag.by_topic) == (None, {"a": None, "b": 1})


def test_no_topic_no_lag() -> None:
    assert compute_lag({}, {}, {}).total is None
