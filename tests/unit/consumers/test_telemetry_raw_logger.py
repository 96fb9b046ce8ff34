"""The logger shows what goes through, whatever the bytes are."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.typing import EventDict

from consumers.records import Record
from consumers.telemetry_raw_logger import TelemetryRawLogger


def record(value: Any, *, partition: int = 0, id_: bytes = b"7") -> Record:
    return Record(value, None, [("id", id_)], "telemetry.raw", partition, 12, 0)


def test_a_batch_is_one_event(logged: list[EventDict]) -> None:
    # When
    TelemetryRawLogger().handle([record(b"a", id_=b"1"), record(b"b", partition=2, id_=b"2"), record(b"c", id_=b"3")])
    # Then
    assert logged == [
        {
            "event": "readings",
            "log_level": "info",
            "size": 3,
            "partitions": ["telemetry.raw[0]", "telemetry.raw[2]"],
            "ids": ["1", "2", "3"],
            "first": ["a", "b", "c"],
        }
    ]


def test_a_single_record_is_a_batch_of_one(logged: list[EventDict]) -> None:
    TelemetryRawLogger().handle(record(b"a"))
    assert (logged[0]["size"], logged[0]["first"]) == (1, ["a"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (b"", ""), (b"\xffab", "\\xffab"), ("ä".encode(), "ä"), ({"a": [1]}, '{"a":[1]}'), ("t", '"t"')],
)
def test_any_value_can_be_shown(logged: list[EventDict], value: object, text: str) -> None:
    TelemetryRawLogger().handle(record(value))
    assert logged[0]["first"] == [text]


def test_how_much_is_shown_is_an_option(logged: list[EventDict]) -> None:
    TelemetryRawLogger(show=2, characters=3).handle([record(b"abcdef")] * 5)
    assert (logged[0]["size"], logged[0]["first"]) == (5, ["abc", "abc"])
    assert len(logged[0]["ids"]) == 5
