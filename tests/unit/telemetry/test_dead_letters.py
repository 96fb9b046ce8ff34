"""A dead letter: the input untouched, and everything that a person needs to know about its death."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES, Cause, DeadLetter, build_dead_letter

CAUSE = Cause("bad_ts", "'ts': 'yesterday' is not a time", "validate", "telemetry.errors.InvalidTelemetry", attempts=3)
AT = datetime(2026, 2, 20, 23, 45, tzinfo=timezone(timedelta(hours=1)))

values = st.none() | st.binary(max_size=50)
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)))


def build(
    value: bytes | None = b"{}",
    headers: list[tuple[str, bytes | None]] | None = None,
    cause: Cause = CAUSE,
    **more: Any,
) -> DeadLetter:
    return build_dead_letter(value, headers, cause, consumer="validators", at=AT, **more)


def test_it_says_where_the_input_lies_and_why_it_died() -> None:
    # When a message of telemetry.raw dies
    letter = build(headers=[("id", b"7")], topic="telemetry.raw", partition=3, offset=12)
    # Then its dead letter has these headers behind its own, by their names on the wire
    assert letter.headers == [
        ("id", b"7"),
        ("__connect.errors.topic", b"telemetry.raw"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"12"),
        ("__connect.errors.exception.class.name", b"telemetry.errors.InvalidTelemetry"),
        ("__connect.errors.exception.message", b"'ts': 'yesterday' is not a time"),
        ("__connect.errors.stage", b"validate"),
        ("dlq.reason", b"bad_ts"),
        ("dlq.consumer", b"validators"),
        ("dlq.attempts", b"3"),
        ("dlq.at", b"2026-02-20T22:45:00Z"),
    ]


def test_at_ingestion_it_lies_nowhere_yet() -> None:
    names = {name for name, _ in build().headers}
    assert not names & {"__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset"}
    assert "dlq.reason" in names


def test_the_first_place_of_a_partition_is_a_place() -> None:
    found = dict(build(topic="t", partition=0, offset=0).headers)
    assert (found["__connect.errors.partition"], found["__connect.errors.offset"]) == (b"0", b"0")


@given(values, headers)
def test_the_bytes_and_the_inputs_headers_are_untouched(
    value: bytes | None, given_headers: list[tuple[str, bytes | None]]
) -> None:
    before = list(given_headers)
    letter = build(value, given_headers)
    assert letter.value == value
    assert letter.headers[: len(before)] == before == given_headers


@given(values, headers)
def test_whoever_dies_again_carries_the_marks_of_the_last_death_only(
    value: bytes | None, given_headers: list[tuple[str, bytes | None]]
) -> None:
    # Given a dead letter that was replayed and dies for another reason
    first = build(value, given_headers, topic="telemetry.raw", partition=1, offset=2, max_bytes=65_536)
    # When
    second = build(first.value, first.headers, Cause("late", "too late", "handle", "Late"))
    # Then
    assert second.headers == build(first.value, given_headers, Cause("late", "too late", "handle", "Late")).headers


def test_no_headers_are_fine() -> None:
    assert build(headers=None).headers == build(headers=[]).headers


@pytest.mark.parametrize("size", [0, 1, 100_000, DLQ_MAX_MESSAGE_BYTES - 64 * 1024])
def test_what_the_topic_takes_is_whole(size: int) -> None:
    letter = build(b"x" * size)
    assert letter.value is not None
    assert len(letter.value) == size
    assert "dlq.truncated" not in dict(letter.headers)


@pytest.mark.parametrize("max_bytes", [DLQ_MAX_MESSAGE_BYTES, 100_000])
def test_what_it_does_not_take_keeps_its_first_kilobyte_size_and_hash(max_bytes: int) -> None:
    # Given one byte more than fits beside the headers
    value = bytes(range(256)) * (max_bytes // 256)
    value = value[: max_bytes - 64 * 1024 + 1]
    # When
    letter = build(value, max_bytes=max_bytes)
    # Then
    found = dict(letter.headers)
    assert letter.value == value[:1024]
    assert found["dlq.truncated"] == b"true"
    assert found["dlq.size"] == str(len(value)).encode()
    assert found["dlq.sha256"] == hashlib.sha256(value).hexdigest().encode()


def test_a_letter_fits_the_topic_whatever_its_value() -> None:
    for size in (DLQ_MAX_MESSAGE_BYTES - 64 * 1024, DLQ_MAX_MESSAGE_BYTES, 3 * DLQ_MAX_MESSAGE_BYTES):
        letter = build(b"x" * size, cause=Cause("r", "m" * 1_000_000, "handle", "E"), topic="t", partition=0, offset=0)
        total = len(letter.value or b"") + sum(len(name) + len(value or b"") for name, value in letter.headers)
        assert total < DLQ_MAX_MESSAGE_BYTES


def test_a_long_message_is_cut_to_a_thousand_characters() -> None:
    found = dict(build(cause=Cause("r", "ä" * 5000, "handle", "E")).headers)
    assert found["__connect.errors.exception.message"] == ("ä" * 1000).encode()


def test_a_message_that_is_no_unicode_is_written_all_the_same() -> None:
    found = dict(build(cause=Cause("r", "bad \ud800 name", "handle", "E")).headers)
    assert found["__connect.errors.exception.message"] == b"bad ? name"


def test_one_attempt_is_the_default() -> None:
    assert Cause("r", "m", "decode", "E").attempts == 1


def test_the_limit_is_that_of_the_dead_letter_topic() -> None:
    assert DLQ_MAX_MESSAGE_BYTES == 11 * 2**20
    assert AT.astimezone(UTC).hour == 22
