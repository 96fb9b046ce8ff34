"""Counting dead letters by group."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator.kafka.lag import Span
from telemetry_operator.kafka.letters import Tallies, Tally, to_time
from telemetry_operator.kafka.tail import place_start

STAMP = 1_771_627_500_000
AT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
SPANS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(lambda ends: Span(min(ends), max(ends)))


def letter(group: str, reason: str, at: str | None = None) -> list[tuple[str, str | bytes | None]]:
    headers: list[tuple[str, str | bytes | None]] = [
        ("dlq.reason", reason.encode()),
        ("id", b"1"),
        ("dlq.consumer", group.encode()),
    ]
    return headers if at is None else [*headers, ("dlq.at", at.encode())]


def test_each_group_has_its_own_count_and_its_last_reason() -> None:
    tallies = Tallies()
    tallies.take(letter("a", "bad_ts", "2026-02-20T22:45:00Z"), STAMP)
    tallies.take(letter("b", "not_json"), STAMP)
    tallies.take(letter("a", "too_deep", "2026-02-20T22:46:00.5Z"), STAMP)
    assert tallies.get("a") == Tally(2, "too_deep", datetime(2026, 2, 20, 22, 46, 0, 500_000, UTC))
    assert tallies.get("b") == Tally(1, "not_json", AT), "no dlq.at: Kafka's time"
    assert tallies.get("c") == Tally(0, None, None)


def test_the_last_one_is_the_youngest_not_the_one_that_was_read_last() -> None:
    tallies = Tallies()
    tallies.take(letter("a", "new", "2026-02-20T22:46:00Z"), STAMP)
    tallies.take(letter("a", "old", "2026-02-20T22:45:00Z"), STAMP)
    assert tallies.get("a") == Tally(2, "new", datetime(2026, 2, 20, 22, 46, tzinfo=UTC))


def test_a_header_that_comes_twice_counts_as_its_last() -> None:
    tallies = Tallies()
    tallies.take([("dlq.consumer", b"a"), *letter("b", "x")], STAMP)
    assert (tallies.get("a").count, tallies.get("b").count) == (0, 1)


@pytest.mark.parametrize("headers", [[], {}, [("dlq.consumer", None)], [("dlq.reason", b"x")]])
def test_what_is_no_dead_letter_is_not_counted(headers: list[tuple[str, bytes | None]]) -> None:
    tallies = Tallies()
    tallies.take(headers, STAMP)
    assert tallies.get("") == Tally(0, None, None)


@given(
    st.lists(
        st.tuples(st.sampled_from(["dlq.consumer", "dlq.reason", "dlq.at", "id"]), st.none() | st.binary() | st.text())
    ),
    st.integers(-(2**63), 2**63 - 1),
)
def test_anybody_may_write_anything(headers: list[tuple[str, str | bytes | None]], timestamp: int) -> None:
    tallies = Tallies()
    tallies.take([*headers, ("dlq.consumer", b"a")], timestamp)
    tally = tallies.get("a")
    assert tally.count == 1
    assert tally.last_reason is None or (tally.last_reason.isprintable() and len(tally.last_reason) <= 128)
    assert tally.last_at is None or tally.last_at.tzinfo is UTC


@pytest.mark.parametrize("at", ["yesterday", "2026-02-20T22:45:00", "0001-01-01T00:00:00+14:00", ""])
def test_a_time_that_can_not_be_read_is_kafkas(at: str) -> None:
    tallies = Tallies()
    tallies.take(letter("a", "x", at), STAMP)
    assert tallies.get("a").last_at == AT


def test_no_time_is_none() -> None:
    assert to_time(-1) is None
    assert to_time(2**62) is None


@pytest.mark.parametrize(
    ("position", "span", "start", "skipped"),
    [
        (None, Span(0, 50), 0, 0),
        (None, Span(20, 500), 400, 0),
        (450, Span(20, 500), 450, 0),
        (300, Span(20, 500), 400, 100),
        (10, Span(20, 50), 20, 10),
        (60, Span(0, 50), 0, 0),
        (50, Span(0, 50), 50, 0),
    ],
)
def test_where_a_partition_is_read_on(position: int | None, span: Span, start: int, skipped: int) -> None:
    assert place_start(position, span, 100) == (start, skipped)


@given(st.none() | st.integers(0, 10**6), SPANS, st.integers(0, 1000))
def test_reading_on_is_bounded_and_within_what_there_is(position: int | None, span: Span, look_back: int) -> None:
    start, skipped = place_start(position, span, look_back)
    assert span.low <= start <= span.high
    assert span.high - start <= look_back
    assert skipped >= 0
