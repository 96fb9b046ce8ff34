"""Dead letters: what one tells, which are wanted, how many there are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from iothub.errors import UsageError
from iothub.kafka.letters import (
    By,
    Letter,
    LetterCount,
    LetterFilter,
    count_letters,
    format_letter_place,
    parse_letter_place,
)
from unit.iothub.kafka.making import AT, AT_MS, make_letter, make_record


def test_a_letter_tells_what_its_headers_say() -> None:
    letter = make_letter()
    assert (letter.reason, letter.message, letter.stage) == ("bad_ts", "'ts' is no time", "validate")
    assert (letter.consumer, letter.topic, letter.device, letter.id) == ("validators", "telemetry.raw", "DEV-01", "7")
    assert (letter.place, letter.is_truncated, letter.replays) == ((2, 11), False, 0)


def test_one_that_somebody_else_wrote_tells_less() -> None:
    letter = Letter(make_record(headers=(("replay.attempt", b"many"),)))
    assert (letter.reason, letter.stage, letter.topic, letter.replays) == (None, None, None, 0)


def test_a_truncated_one_says_so() -> None:
    assert make_letter(bytes(100_000), max_bytes=70_000).is_truncated


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (LetterFilter(), True),
        (LetterFilter(reasons=frozenset({"bad_ts", "x"})), True),
        (LetterFilter(reasons=frozenset({"x"})), False),
        (LetterFilter(devices=frozenset({"DEV-01"})), True),
        (LetterFilter(devices=frozenset({"DEV-02"})), False),
        (LetterFilter(consumers=frozenset({"validators"})), True),
        (LetterFilter(consumers=frozenset({"alarm"})), False),
        (LetterFilter(since=AT), True),
        (LetterFilter(since=AT + timedelta(milliseconds=1)), False),
        (LetterFilter(until=AT), False),
        (LetterFilter(until=AT + timedelta(milliseconds=1)), True),
        (LetterFilter(reasons=frozenset({"bad_ts"}), devices=frozenset({"DEV-02"})), False),
    ],
)
def test_all_that_is_asked_has_to_be_true(wanted: LetterFilter, matches: bool) -> None:
    assert wanted.matches(make_letter()) is matches


def test_a_filter_that_asks_nothing_is_open() -> None:
    assert LetterFilter().is_open
    assert not LetterFilter(until=AT).is_open


def test_letters_are_counted_the_most_frequent_first() -> None:
    letters = [
        make_letter(reason="bad_ts", offset=0, timestamp=AT_MS + 5),
        make_letter(reason="not_json", offset=1, timestamp=AT_MS + 1),
        make_letter(reason="not_json", offset=2, timestamp=AT_MS + 9),
        make_letter(reason="not_json", offset=3, timestamp=AT_MS + 3),
        Letter(make_record(offset=4)),
    ]
    counts = count_letters(letters, By.REASON, lambda letter: letter.record.offset in {1, 2})
    assert counts == [
        LetterCount("not_json", 3, 2, AT_MS + 1, AT_MS + 9, (2, 2)),
        LetterCount(None, 1, 0, AT_MS, AT_MS, (0, 4)),
        LetterCount("bad_ts", 1, 0, AT_MS + 5, AT_MS + 5, (2, 0)),
    ]


@pytest.mark.parametrize(
    ("by", "value"),
    [
        (By.REASON, "bad_ts"),
        (By.DEVICE, "DEV-01"),
        (By.CONSUMER, "validators"),
        (By.TOPIC, "telemetry.raw"),
        (By.STAGE, "validate"),
    ],
)
def test_they_can_be_counted_by(by: By, value: str) -> None:
    assert [count.value for count in count_letters([make_letter()], by)] == [value]


def test_a_place_is_written_and_read_the_same() -> None:
    assert parse_letter_place(format_letter_place((3, 17))) == (3, 17)


@pytest.mark.parametrize("text", ["", "3", "3:", ":7", "-1:7", "3:7:1", "a:b", "3: 7"])
def test_what_is_no_place_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="write PARTITION:OFFSET, such as 0:17"):
        parse_letter_place(text)
