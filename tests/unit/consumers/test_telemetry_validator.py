"""The validator: each message becomes its normal form, or a reject with its reason; the others don't notice."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.records import Outgoing, Record, Reject
from consumers.telemetry_validator import TelemetryValidator
from fuzz.oracle import check_record
from telemetry.names import MAX_MESSAGE_BYTES
from telemetry.schema import names
from unit.telemetry.documents import devices, message_texts, mutated

READING = b'{"schema_version":1,"device":"DEV-01","metrics":{"humidity":20,"temperature":20},"ts":"2026-02-20 22:45"}'
ANONYMOUS = READING.replace(b'"device":"DEV-01",', b"")


def record(value: Any, headers: list[tuple[str, bytes | None]] | None = None, *, offset: int = 12) -> Record:
    return Record(value, b"DEV-01", headers or [], "telemetry.raw", 3, offset, 0)


def handle(payload: Record | list[Record]) -> list[Outgoing | Reject]:
    return list(TelemetryValidator().handle(payload))


def test_it_takes_records_with_their_bytes() -> None:
    assert (TelemetryValidator.wants_records, TelemetryValidator.wants_bytes) == (True, True)


def test_a_valid_message_is_handed_on_in_its_normal_form_keyed_by_device() -> None:
    # Given a raw record
    headers: list[tuple[str, bytes | None]] = [("id", b"7"), ("device", b"DEV-01"), ("id", b"8")]
    # When
    [outgoing] = handle(record(READING, headers))
    # Then the clean one goes to the output topic, with the raw one's headers and its place
    assert isinstance(outgoing, Outgoing)
    assert (outgoing.topic, outgoing.key) == (None, b"DEV-01")
    assert json.loads(outgoing.value) == json.loads(READING) | {"ts": "2026-02-20T22:45:00Z"}
    assert list(outgoing.headers) == [
        *headers,
        ("raw_topic", b"telemetry.raw"),
        ("raw_partition", b"3"),
        ("raw_offset", b"12"),
    ]


def test_the_header_names_the_device_where_the_message_does_not() -> None:
    [outgoing] = handle(record(ANONYMOUS, [("device", b"DEV-09")]))
    assert isinstance(outgoing, Outgoing)
    assert outgoing.key == b"DEV-09"
    assert json.loads(outgoing.value)["device"] == "DEV-09"


@pytest.mark.parametrize(
    ("value", "headers", "reason", "words"),
    [
        (READING, [("device", b"DEV-02")], "device_mismatch", "'DEV-02' sent"),
        (ANONYMOUS, [], "missing_field", "'device'"),
        (ANONYMOUS, [("device", b"a\nb")], "bad_device", "control"),
        (b"\xff", [], "not_utf8", "0xff"),
        (None, [], "not_json", "empty"),
        (b"", [], "not_json", "empty"),
        (b"[]", [], "not_object", "an array"),
    ],
)
def test_an_invalid_one_is_rejected_with_the_schemas_reason(
    value: bytes | None, headers: list[tuple[str, bytes | None]], reason: str, words: str
) -> None:
    [reject] = handle(record(value, headers))
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.stage, reject.index) == (reason, "validate", 0)
    assert words in str(reject)
    assert type(reject.__cause__).__name__ == "InvalidTelemetry"


def test_in_a_batch_each_is_judged_by_itself() -> None:
    # Given a bad one between two good ones
    answers = handle([record(READING, offset=1), record(b"{", offset=2), record(READING, offset=3)])
    # Then the reject names its place
    assert [type(answer) for answer in answers] == [Outgoing, Reject, Outgoing]
    assert isinstance(answers[1], Reject)
    assert answers[1].index == 1
    assert [dict(answer.headers)["raw_offset"] for answer in answers if isinstance(answer, Outgoing)] == [b"1", b"3"]


def test_an_empty_batch_gives_nothing() -> None:
    assert handle([]) == []


def test_what_grows_beyond_the_clean_topic_in_its_normal_form_is_rejected() -> None:
    # Given a message that the raw topic takes, of numbers that are longer when written out
    value = READING[:-1] + b',"x":[' + b"1e15," * 200_000 + b"0]}"
    assert len(value) < MAX_MESSAGE_BYTES
    # When
    [reject] = handle(record(value))
    # Then it does not stop its partition
    assert isinstance(reject, Reject)
    assert reject.reason == "too_large"
    assert str(MAX_MESSAGE_BYTES) in str(reject)


def test_the_largest_normal_form_that_fits_is_handed_on() -> None:
    frame = len(READING) + len('T:00Z","extra":{"x":""}') - len(" ")
    value = READING[:-1] + b',"x":"' + b"y" * (MAX_MESSAGE_BYTES - frame) + b'"}'
    [outgoing] = handle(record(value))
    assert isinstance(outgoing, Outgoing)
    assert MAX_MESSAGE_BYTES - 8 <= len(outgoing.value) <= MAX_MESSAGE_BYTES


@given(
    mutated() | st.binary(max_size=64) | message_texts().map(lambda message: message.text.encode()), st.none() | devices
)
@example(READING[:-1] + b',"x":' + b"[" * 63 + b"]" * 63 + b"}", None)
@example(READING[:-1] + b',"x":"' + b"[" * 200 + b'"}', "DEV-01")
@example(READING[:-1] + b',"extra":{"ts":1},"ts2":"\\u003a"}', None)
def test_any_bytes_are_a_message_or_have_a_reason(value: bytes, device: str | None) -> None:
    check_record(value, device)


@pytest.mark.parametrize(
    "unit",
    [b"[", b'{"a":', b"\\", b'"', b'["', b"9", b"\xff", READING],
    ids=lambda unit: ascii(unit.decode("latin-1"))[:8],
)
@pytest.mark.parametrize("before", [b"", b'"', READING[:-1] + b',"x":'], ids=["alone", "in a string", "in a message"])
def test_the_largest_message_that_the_raw_topic_takes_is_judged_too(before: bytes, unit: bytes) -> None:
    check_record(before + unit * (MAX_MESSAGE_BYTES // len(unit)), None)


def test_names_that_nobody_uses_twice_do_not_fill_the_memory() -> None:
    # Given a device that makes up a new name for each metric
    for number in range(60):
        metrics = {f"{number}-{place}": 1 for place in range(256)}
        [outgoing] = handle(record(json.dumps(json.loads(READING) | {"metrics": metrics}).encode()))
        assert isinstance(outgoing, Outgoing)
    # Then what is remembered is bounded, and a name with a colon is never taken for one without
    assert len(names._plain) <= names._MOST_REMEMBERED
    for text in ('{"a:":1,"a:":1}', '{"a:":1,"a":1,"a":1}'):
        [reject] = handle(record(READING.replace(b'{"humidity":20,"temperature":20}', text.encode())))
        assert isinstance(reject, Reject)
        assert reject.reason == "duplicate_key"


@pytest.mark.parametrize("bad", [b"{", READING.replace(b"22:45", b"24:45"), READING.replace(b"20,", b"null,")])
def test_a_bad_message_keeps_no_batch_in_the_memory(bad: bytes) -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            assert len(handle([record(READING), record(bad), record(READING)])) == 3
        assert gc.collect() == 0
    finally:
        gc.enable()
