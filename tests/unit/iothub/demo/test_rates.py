"""From totals to rates."""

from __future__ import annotations

import pytest

from iothub.demo.rates import HISTORY, RateMeter


def test_without_two_totals_there_is_no_rate() -> None:
    meter = RateMeter()
    assert (meter.rate, meter.history) == (0.0, ())
    meter.note(10.0, 500)
    assert (meter.rate, meter.history) == (0.0, ())


def test_a_steady_flow_has_its_rate_each_second() -> None:
    meter = RateMeter()
    for tick in range(41):
        meter.note(100 + tick / 4, tick * 10)
    assert meter.rate == pytest.approx(40)
    assert meter.history == pytest.approx((40,) * 10)


def test_a_flow_that_ends_is_seen_within_seconds() -> None:
    meter = RateMeter()
    for tick in range(40):
        meter.note(tick / 4, tick * 10)
    for tick in range(40, 56):
        meter.note(tick / 4, 390)
    assert meter.rate == 0
    assert meter.history[-3:] == (0, 0, 0)


def test_the_history_is_bounded() -> None:
    meter = RateMeter()
    for second in range(1000):
        meter.note(second, second)
    assert len(meter.history) == HISTORY
