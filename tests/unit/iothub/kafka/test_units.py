"""Numbers as a person reads them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iothub.kafka.units import (
    format_bytes,
    format_duration,
    format_number,
    format_rate,
    format_retention,
    format_stamp,
    to_time,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (1, "1 s"),
        (59.5, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (3601, "1 h"),
        (86_400 * 7, "7 d"),
        (90_000, "1 d 1 h"),
        (math.inf, "never"),
        (None, "-"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0/s"),
        (0.04, "0/s"),
        (0.25, "0.2/s"),
        (3.44, "3.4/s"),
        (9.99, "10/s"),
        (250.4, "250/s"),
        (999.4, "999/s"),
        (999.6, "1k/s"),
        (1234, "1.2k/s"),
        (56_789, "57k/s"),
        (2_500_000, "2.5M/s"),
        (None, "-"),
    ],
)
def test_a_rate_has_two_digits_that_matter(rate: float | None, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (17, "17 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1_153_434, "1.1 MiB"),
        (5 * 2**40, "5 TiB"),
        (None, "-"),
    ],
)
def test_a_size_is_in_binary_units(size: int | None, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (1234567, "1234567"), (None, "-")])
def test_a_count_is_written_in_full(number: int | None, text: str) -> None:
    assert format_number(number) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(604_800_000, "7 d"), (-1, "for ever"), (None, "-"), (5_400_000, "1 h 30 min")]
)
def test_retention(milliseconds: int | None, text: str) -> None:
    assert format_retention(milliseconds) == text


def test_a_time_is_utc_with_milliseconds_for_people_and_rfc_3339_for_programs() -> None:
    assert format_stamp(1_771_627_500_000) == "2026-02-20T22:45:00.000Z"
    assert to_time(1_771_627_500_007) == "2026-02-20T22:45:00.007000Z"
    assert (format_stamp(-1), to_time(-1)) == ("-", None)


@given(st.floats(min_value=0, max_value=1e12))
def test_no_number_is_shown_with_more_digits_than_a_person_wants(number: float) -> None:
    digits = [character for character in format_rate(number) if character.isdigit()]
    assert 1 <= len(digits) <= 4
