"""What of kopf's own words gets into the log."""

from __future__ import annotations

import logging

from telemetry_operator.logs import is_worth_a_line


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("kopf._cogs.clients.api", logging.ERROR, __file__, 1, message, arguments, None)


def test_a_call_that_is_tried_again_and_again_is_told_now_and_then() -> None:
    told = [
        attempt
        for attempt in range(1, 100)
        if is_worth_a_line(record(f"Request attempt #{attempt} failed; will retry: GET https://api/apis -> refused"))
    ]
    assert told == [1, 2, 4, 8, 16, 32, 64]


def test_every_other_word_is_told() -> None:
    assert is_worth_a_line(record("%s of 100%%", 3))
    assert is_worth_a_line(record("after Request attempt #3"))
