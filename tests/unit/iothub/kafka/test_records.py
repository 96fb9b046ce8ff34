"""One record: chosen, shown, written as JSON."""

from __future__ import annotations

import pytest

from iothub.errors import UsageError
from iothub.kafka.records import (
    RecordFilter,
    build_record_document,
    find_device,
    format_record,
    parse_header_filter,
)
from unit.iothub.kafka.making import make_letter, make_record


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (RecordFilter(), True),
        (RecordFilter(device="DEV-01"), True),
        (RecordFilter(device="DEV-09"), True),
        (RecordFilter(device="DEV-0"), False),
        (RecordFilter(headers=(("source", "mqtt"),)), True),
        (RecordFilter(headers=(("source", "mqtt"), ("id", "1"))), True),
        (RecordFilter(headers=(("source", "mqtt"), ("id", "2"))), False),
        (RecordFilter(headers=(("source", "mqt"),)), False),
        (RecordFilter(reasons=frozenset({"bad_ts"})), False),
    ],
)
def test_a_record_matches_what_is_asked_of_it(wanted: RecordFilter, matches: bool) -> None:
    """The key says DEV-01, the header DEV-09: both are the device."""
    record = make_record(headers=(("id", b"1"), ("source", b"mqtt"), ("device", b"DEV-09")))
    assert wanted.matches(record) is matches


def test_a_dead_letter_matches_by_any_of_the_reasons() -> None:
    record = make_letter(reason="bad_ts").record
    assert RecordFilter(reasons=frozenset({"not_json", "bad_ts"})).matches(record)
    assert not RecordFilter(reasons=frozenset({"not_json"})).matches(record)


@pytest.mark.parametrize(("text", "pair"), [("a=b", ("a", "b")), ("a=b=c", ("a", "b=c")), ("a=", ("a", ""))])
def test_a_header_to_look_for(text: str, pair: tuple[str, str]) -> None:
    assert parse_header_filter(text) == pair


@pytest.mark.parametrize("text", ["", "a", "=b"])
def test_what_is_no_header_to_look_for(text: str) -> None:
    with pytest.raises(UsageError, match="write --header name=value"):
        parse_header_filter(text)


def test_the_header_names_the_device_else_the_key() -> None:
    assert find_device(make_record(headers=(("device", b"D9"),))) == "D9"
    assert find_device(make_record()) == "DEV-01"
    assert find_device(make_record(key=None)) is None


def test_a_line_has_time_place_device_and_value() -> None:
    record = make_record(b'{"t":\x1b1}', partition=3, offset=14, key=b"D\x07")
    assert format_record(record) == r'2026-02-20T22:45:00.000Z  3:14  D\x07  {"t":\x1b1}'
    assert format_record(make_record(None, key=None)) == "2026-02-20T22:45:00.000Z  0:0  -  (null)"


def test_a_dead_letters_line_says_why() -> None:
    line = format_record(make_letter(b"\xff", message="no\nUTF-8").record)
    assert line == r"2026-02-20T22:45:00.000Z  2:11  DEV-01  [bad_ts] no\nUTF-8  \xff"


def test_a_document_has_everything() -> None:
    record = make_record(b'{"n":1}', partition=3, offset=14, key=b"\xff", headers=(("id", b"1"),))
    assert build_record_document(record) == {
        "topic": "telemetry.raw",
        "partition": 3,
        "offset": 14,
        "timestamp": "2026-02-20T22:45:00Z",
        "key": {"base64": "/w=="},
        "headers": {"id": "1"},
        "value": {"n": 1},
        "encoding": "json",
    }
