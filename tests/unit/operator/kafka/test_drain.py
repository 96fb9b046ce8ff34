"""From lags to how fast they fall, and when nothing is left."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator.kafka.drain import (
    LONGEST_SECONDS,
    WINDOW_POINTS,
    WINDOW_SECONDS,
    LagPoint,
    add_point,
    compute_drain_seconds,
    compute_slope,
)

LAGS = st.integers(0, 2**63 - 1)
TIMES = st.floats(0, 1e9)


def line(*lags: int, step: float = 30) -> tuple[LagPoint, ...]:
    return tuple(LagPoint(number * step, lag) for number, lag in enumerate(lags))


@given(st.lists(st.builds(LagPoint, TIMES, LAGS), max_size=WINDOW_POINTS), LAGS | st.none())
def test_whatever_was_observed_it_never_takes_negative_or_endless_time(points: list[LagPoint], lag: int | None) -> None:
    slope = compute_slope(points)
    assert slope is None or math.isfinite(slope)
    seconds = compute_drain_seconds(lag, slope)
    assert seconds is None or 0 <= seconds <= LONGEST_SECONDS + 1
    if lag == 0:
        assert seconds == 0
    if slope is None or slope >= 0:
        assert seconds == (0 if lag == 0 else None)


@given(LAGS | st.none(), st.floats(allow_nan=False) | st.none())
def test_any_slope_gives_a_time_that_is_right_or_none(lag: int | None, slope: float | None) -> None:
    seconds = compute_drain_seconds(lag, slope)
    if seconds:
        assert lag is not None
        assert slope is not None
        assert (seconds - 1) * -slope <= lag * (1 + 1e-9)
        assert seconds * -slope >= lag * (1 - 1e-9)


@given(st.lists(LAGS, min_size=3, max_size=WINDOW_POINTS), st.floats(16, 1e4), st.floats(0, 1e6), st.integers(0, 2**40))
def test_the_slope_knows_neither_when_it_began_nor_a_lag_that_is_always_there(
    lags: list[int], step: float, begin: float, more: int
) -> None:
    small = [lag % 10**9 for lag in lags]
    slope = compute_slope(line(*small, step=step))
    moved = [LagPoint(begin + point.at, point.lag + more) for point in line(*small, step=step)]
    assert slope is not None
    assert compute_slope(moved) == pytest.approx(slope, rel=1e-3, abs=1e-3)


@given(st.lists(st.builds(LagPoint, TIMES, LAGS), max_size=30))
def test_what_is_kept_is_bounded_recent_and_ends_with_the_newest(points: list[LagPoint]) -> None:
    kept: tuple[LagPoint, ...] = ()
    for point in points:
        kept = add_point(kept, point)
        assert kept[-1] == point
        assert len(kept) <= WINDOW_POINTS
        assert all(0 <= point.at - old.at <= WINDOW_SECONDS for old in kept)


def test_a_lag_that_falls_evenly_is_over_when_it_says() -> None:
    slope = compute_slope(line(1000, 700, 400))
    assert slope == -10
    assert compute_drain_seconds(400, slope) == 40
    assert compute_drain_seconds(401, slope) == 41, "rounded up"


@pytest.mark.parametrize("lags", [(), (5,), (5, 4)])
def test_two_looks_are_too_few(lags: tuple[int, ...]) -> None:
    assert compute_slope(line(*lags)) is None


def test_looks_in_one_moment_or_within_a_few_seconds_tell_nothing() -> None:
    assert compute_slope([LagPoint(1, 5), LagPoint(1, 4), LagPoint(1, 3)]) is None
    assert compute_slope(line(500, 400, 300, 200, step=5)) is None
    assert compute_slope(line(500, 400, 300, 200, step=10)) == -10


@pytest.mark.parametrize("lags", [(1, 2, 3), (7, 7, 7)])
def test_a_lag_that_grows_or_stands_is_never_over(lags: tuple[int, ...]) -> None:
    assert compute_drain_seconds(lags[-1], compute_slope(line(*lags))) is None


def test_steps_and_bursts_are_smoothed() -> None:
    """Given a lag that falls by 100 a look, When one look sees a burst, Then the slope is still about that."""
    steady = compute_slope(line(1000, 900, 800, 700, 600, 500, 400, 300))
    burst = compute_slope(line(1000, 900, 800, 5700, 600, 500, 400, 300))
    assert steady is not None
    assert burst == pytest.approx(steady, rel=0.1)


def test_what_would_take_longer_than_a_month_stands() -> None:
    assert compute_drain_seconds(10**9, -1.0) is None
    assert compute_drain_seconds(LONGEST_SECONDS, -1.0) == LONGEST_SECONDS
