"""Where offsets are to go, from words to numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator.kafka.lag import Span
from telemetry_operator.kafka.targets import Shift, Target, compute_offsets, parse_start, parse_target

TIME = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
SPANS = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda ends: Span(min(ends), max(ends)))
OFFSETS = st.integers(-(10**13), 10**13)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("earliest", "earliest"),
        ("latest", "latest"),
        ("2026-02-20T22:45:00Z", TIME),
        ("2026-02-20T23:45:00.000+01:00", TIME),
        ("+10", Shift(10)),
        ("-1000", Shift(-1000)),
    ],
)
def test_what_can_be_asked_for(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["", "10", "Earliest", "+", "-1.5", "2026-02-20", "2026-02-20T22:45:00", "yesterday"])
def test_what_can_not_be_asked_for_is_said_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no place in a topic: write earliest, latest, a time .* or a shift"):
        parse_target(text)


def test_a_day_that_never_was() -> None:
    with pytest.raises(ValueError, match="no time that ever was"):
        parse_target("2026-02-30T00:00:00Z")


def test_a_start_is_no_shift() -> None:
    assert parse_start("latest") == "latest"
    with pytest.raises(ValueError, match=r"write earliest, latest, or a time with its zone such as \S+$"):
        parse_start("-10")


@pytest.mark.parametrize(
    ("target", "offset"),
    [
        ("earliest", 5),
        ("latest", 100),
        (TIME, 40),
        (Shift(-10), 50),
        (Shift(10), 70),
        (Shift(-1000), 5),
        (Shift(1000), 100),
    ],
)
def test_where_it_leads(target: Target, offset: int) -> None:
    place = ("raw", 0)
    found = compute_offsets(target, [place], {place: Span(5, 100)}, committed={place: 60}, times={place: 40})
    assert found == {place: offset}


def test_a_time_that_nothing_is_as_young_as_leads_to_the_end() -> None:
    place = ("raw", 0)
    assert compute_offsets(TIME, [place], {place: Span(5, 100)}, committed={}, times={}) == {place: 100}


def test_there_is_nothing_to_shift_without_an_offset() -> None:
    places, spans = [("raw", 0), ("raw", 1)], {("raw", 0): Span(0, 9), ("raw", 1): Span(0, 9)}
    assert compute_offsets(Shift(1), places, spans, committed={("raw", 1): 3}, times={}) == {("raw", 1): 4}


@given(st.sampled_from(["earliest", "latest", TIME]) | st.builds(Shift, OFFSETS), SPANS, OFFSETS, OFFSETS)
def test_it_never_leads_outside_of_what_there_is(target: Target, span: Span, committed: int, time: int) -> None:
    place = ("raw", 0)
    found = compute_offsets(target, [place], {place: span}, committed={place: committed}, times={place: time})
    assert span.low <= found[place] <= span.high
