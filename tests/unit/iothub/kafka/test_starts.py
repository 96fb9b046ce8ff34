"""Where reading begins, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from iothub.errors import UsageError
from iothub.kafka.starts import Beginning, End, Last, Since, parse_moment, parse_start

NOW = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Beginning()),
        ("end", End()),
        ("-20", Last(20)),
        ("-0", Last(0)),
        ("15m ago", Since(NOW - timedelta(minutes=15))),
        ("15m", Since(NOW - timedelta(minutes=15))),
        ("1.5h ago", Since(NOW - timedelta(minutes=90))),
        ("2 d ago", Since(NOW - timedelta(days=2))),
        ("1w", Since(NOW - timedelta(days=7))),
        ("30s ago", Since(NOW - timedelta(seconds=30))),
        ("2026-02-20T22:45:00+01:00", Since(datetime(2026, 2, 20, 21, 45, tzinfo=UTC))),
        ("2026-02-20 22:45", Since(NOW)),
    ],
)
def test_what_can_be_written(text: str, start: object) -> None:
    assert parse_start(text, NOW) == start


@pytest.mark.parametrize(
    "text", ["", "nowhere", "20", "--5", "-1.5", "5y ago", "m ago", "yesterday", "2026-13-01T00:00Z"]
)
def test_anything_else_is_told_with_what_can_be(text: str) -> None:
    with pytest.raises(UsageError, match="no place in a topic: write beginning, end, -20"):
        parse_start(text, NOW)


@pytest.mark.parametrize("text", ["", "soon", "9999999999999d ago"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no time: write one like"):
        parse_moment(text, NOW)


def test_kafka_counts_in_milliseconds() -> None:
    assert Since(NOW).milliseconds == 1_771_627_500_000
