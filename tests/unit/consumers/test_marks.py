"""The text beside a committed offset: what we write is what we read, and what others write is nothing to us."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.marks import UNKNOWN, Mark, format_mark, parse_mark


@given(
    hand=st.integers(min_value=UNKNOWN, max_value=10_000),
    crashes=st.integers(min_value=0, max_value=100),
    failures=st.integers(min_value=0, max_value=100),
)
def test_a_mark_is_read_as_it_was_written(hand: int, crashes: int, failures: int) -> None:
    mark = Mark(hand, crashes, failures)
    text = format_mark(mark)
    assert parse_mark(text) == mark
    assert len(text) < 200, "the broker takes 4096 bytes"


def test_a_partition_left_in_order_has_no_text() -> None:
    assert format_mark(Mark()) == ""


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        "{}",
        "null",
        "[1]",
        '{"hand":5}',
        '{"iothub":2,"hand":5}',
        '{"iothub":1,"hand":"5"}',
        '{"iothub":1,"hand":-2}',
        '{"iothub":1,"hand":true}',
        '{"iothub":1,"crashes":-1}',
        '{"iothub":1,"failures":1.5}',
    ],
)
def test_what_somebody_else_has_written_is_no_mark(text: str | None) -> None:
    assert parse_mark(text) == Mark()


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert isinstance(parse_mark(text), Mark)


def test_a_later_writer_may_say_more() -> None:
    assert parse_mark('{"iothub":1,"hand":3,"more":[]}') == Mark(hand=3)
