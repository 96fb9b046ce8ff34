"""One event a line: JSON for a machine, readable for a person, and never an event lost for what it holds."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import datetime
from typing import Any, Literal

import pytest
import structlog

from telemetry.logs import configure_logging
from telemetry.redaction import learn_secrets

pytestmark = pytest.mark.usefixtures("own_logging")

Capture = pytest.CaptureFixture[str]


def events(capsys: Capture) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_an_event_is_one_json_line_with_its_fields(capsys: Capture) -> None:
    # Given
    configure_logging("INFO", "json")
    # When
    structlog.get_logger("any").info("consuming", topics=["telemetry.raw"], group="g\nh")
    # Then
    [event] = events(capsys)
    assert datetime.fromisoformat(event.pop("time")).tzinfo is not None
    assert event == {"event": "consuming", "level": "info", "topics": ["telemetry.raw"], "group": "g\nh"}


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("ERROR", ["error"]),
    ],
)
def test_the_level_is_the_least_severe_that_is_written(level: str, seen: list[str], capsys: Capture) -> None:
    configure_logging(level, "json")
    log = structlog.get_logger("any")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")
    assert [event["level"] for event in events(capsys)] == seen


def test_the_standard_librarys_records_have_the_same_form(capsys: Capture) -> None:
    configure_logging("INFO", "json")
    logging.getLogger("librdkafka").warning("%s brokers are down", 3)
    logging.getLogger("librdkafka").debug("not this one")
    [event] = events(capsys)
    assert (event["event"], event["level"], event["logger"]) == ("3 brokers are down", "warning", "librdkafka")
    assert "time" in event


def test_a_traceback_is_a_field_of_its_event(capsys: Capture) -> None:
    configure_logging("INFO", "json")
    try:
        raise ValueError("bad reading")
    except ValueError:
        structlog.get_logger("any").exception("handler failed", offset=7)
    [event] = events(capsys)
    assert (event["event"], event["level"], event["offset"]) == ("handler failed", "error", 7)
    assert event["exception"].startswith("Traceback")
    assert event["exception"].endswith("ValueError: bad reading")


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(object(), id="object"),
        b"\xff\x00",
        {1: 2},
        {"a": {(1, 2): 3}},
        10**30,
        [2**64],
        float("nan"),
        "lone \ud800 surrogate",
        {"\udc00": 1},
        {1, 2},
        ValueError("\udfff"),
    ],
    ids=ascii,
)
def test_no_field_makes_an_event_disappear(field: object, capsys: Capture) -> None:
    # Given a field that JSON has no word for, as a handler's error or a device's bytes may hold one
    configure_logging("INFO", "json")
    # When
    structlog.get_logger("any").info("event", before="b", field=field, after="a")
    # Then the event is there, with its other fields
    [event] = events(capsys)
    assert (event["event"], event["before"], event["after"]) == ("event", "b", "a")


def test_fields_bound_to_the_context_are_in_every_event(capsys: Capture) -> None:
    configure_logging("INFO", "json")
    with structlog.contextvars.bound_contextvars(consumer="c1"):
        structlog.get_logger("any").info("one")
    structlog.get_logger("any").info("two")
    first, second = events(capsys)
    assert first["consumer"] == "c1"
    assert "consumer" not in second


def test_a_person_gets_text(capsys: Capture) -> None:
    configure_logging("INFO", "console")
    structlog.get_logger("any").warning("partition waits", offset=7)
    [line] = capsys.readouterr().err.splitlines()
    assert not line.startswith("{")
    assert "warning" in line
    assert "partition waits" in line
    assert "offset=7" in line
    assert "\x1b" not in line


def test_a_persons_traceback_shows_no_variables(capsys: Capture) -> None:
    # Given a secret in a local variable of what fails
    def fails() -> None:
        password = "hunter" + "2"
        raise ValueError(f"{len(password)} characters are too few")

    configure_logging("INFO", "console")
    # When
    try:
        fails()
    except ValueError:
        structlog.get_logger("any").exception("handler failed")
    # Then
    text = capsys.readouterr().err
    assert "7 characters are too few" in text
    assert "hunter2" not in text


@pytest.mark.filterwarnings("always")
def test_a_warning_of_pythons_is_an_event(capsys: Capture) -> None:
    configure_logging("INFO", "json")
    warnings.warn("old words", DeprecationWarning, stacklevel=1)
    [event] = events(capsys)
    assert (event["level"], event["logger"]) == ("warning", "py.warnings")
    assert "DeprecationWarning: old words" in event["event"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_secret_that_was_learnt_is_in_no_line(log_format: Literal["json", "console"], capsys: Capture) -> None:
    # Given a secret
    secret = 'tr0ub4dor"&3 ü'
    learn_secrets({"password": secret})
    configure_logging("DEBUG", log_format)
    # When it is a field, deep in one, in the event, in an error and in a library's record
    log = structlog.get_logger("any")
    log.info("connecting", password=secret, options={"deep": [secret]})
    log.info(f"with {secret}")
    try:
        raise ValueError(f"refused: {secret}")
    except ValueError:
        log.exception("handler failed")
    logging.getLogger("library").debug("login %s", secret)
    # Then
    text = capsys.readouterr().err
    assert text.count("***") >= 5
    assert "tr0ub4dor" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_without_a_choice_a_terminal_gets_text_and_a_pod_json(
    terminal: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logging()
    structlog.get_logger("any").info("event")
    assert capsys.readouterr().err.startswith("{") is not terminal


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_configuring_it_twice_does_not_double_the_events(
    log_format: Literal["json", "console"], capsys: Capture
) -> None:
    configure_logging("INFO", "console")
    configure_logging("INFO", log_format)
    structlog.get_logger("any").info("event")
    assert capsys.readouterr().err.count("event") - (log_format == "json") == 1
