"""The worker's environment contract: what each variable means, and that a wrong one is blamed by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from consumers.settings import WorkerSettings
from telemetry.errors import ConfigurationError
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

REQUIRED = {"CONSUMER_TOPICS": "telemetry.raw", "CONSUMER_HANDLER": "logger"}
MOMENT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)

CASES = [
    Case("CONSUMER_TOPICS", "a,b", ("a", "b"), (",", "a/b", "a,a", "a, a", ".", ",".join(f"t{n}" for n in range(33)))),
    Case("CONSUMER_HANDLER", "acme.handlers:Printer", "acme.handlers:Printer"),
    Case("CONSUMER_HANDLER_FILE", "/etc/iot-hub/handler/h.py", "/etc/iot-hub/handler/h.py"),
    Case("CONSUMER_HANDLER_OPTIONS", '{"a": {"b": [1]}}', {"a": {"b": [1]}}, ("[]", "a=1", '{"a":', '"a"')),
    Case("CONSUMER_BATCH", "false", False, ("maybe", "2")),
    Case("CONSUMER_BATCH_MAX_SIZE", "100", 100, ("0", "10001", "many", "1.5")),
    Case("CONSUMER_TIMEOUT_SECONDS", "0.25", 0.25, ("0", "-1", "61", "nan", "inf", "1s")),
    Case("CONSUMER_DECODE_JSON", "false", False, ("json",)),
    Case("CONSUMER_COMMIT", "auto", "auto", ("never", "Manual")),
    Case("CONSUMER_DELIVERY", "exactly-once", "exactly-once", ("once", "exactly_once")),
    Case("CONSUMER_HANDLE_LIMIT_SECONDS", "60", 60.0, ("0", "-1", "86401", "nan")),
    Case(
        "CONSUMER_START_FROM",
        "2026-02-20T22:45:00Z",
        MOMENT,
        ("now", "Earliest", "2026-02-20T22:45:00", "2026-02-20", "2026", "1771627500", "1771627500.5", "-1"),
    ),
    Case("CONSUMER_OUTPUT_TOPIC", "telemetry.clean", "telemetry.clean", ("a/b", "..", "t" * 250)),
    Case("CONSUMER_DLQ_TOPIC", "telemetry.dlq", "telemetry.dlq", ("a b",)),
    Case("CONSUMER_MAX_ATTEMPTS", "3", 3, ("0", "101", "-1", "few")),
]


def load(environment: SetVariables, **variables: str) -> WorkerSettings:
    environment(REQUIRED | variables)
    return load_settings(WorkerSettings)


def test_every_setting_has_its_case() -> None:
    assert cover(WorkerSettings, CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variable)
def test_a_variable_changes_its_setting_and_no_other(environment: SetVariables, case: Case) -> None:
    before = load(environment)
    after = load(environment, **{case.variable: case.text})
    assert after == before.model_copy(update={case.field(WorkerSettings): case.value})
    assert after != before


@pytest.mark.parametrize(("variable", "text"), wrong_values(CASES))
def test_a_wrong_value_is_blamed_by_name(environment: SetVariables, variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{variable}: "):
        load(environment, **{variable: text})


@pytest.mark.parametrize("variable", REQUIRED)
@pytest.mark.parametrize("text", [None, ""])
def test_a_required_one_that_is_missing_is_named(environment: SetVariables, variable: str, text: str | None) -> None:
    environment({name: value for name, value in REQUIRED.items() if name != variable})
    if text is not None:
        environment({variable: text})
    with pytest.raises(ConfigurationError, match=f"^{variable}: is required and not set$"):
        load_settings(WorkerSettings)


def test_the_defaults_are_those_of_the_custom_resource(environment: SetVariables) -> None:
    settings = load(environment)
    assert settings.model_dump(exclude={"topics", "handler"}) == {
        "handler_file": None,
        "handler_options": {},
        "batch": True,
        "batch_max_size": 500,
        "timeout_seconds": 1.0,
        "decode_json": True,
        "commit": "manual",
        "delivery": "at-least-once",
        "start_from": "earliest",
        "output_topic": None,
        "dlq_topic": None,
        "max_attempts": 5,
        "handle_limit_seconds": 900.0,
    }


def test_one_wrong_topic_is_one_sentence(environment: SetVariables) -> None:
    # Not a second one, that there are too few
    with pytest.raises(ConfigurationError, match=r"^CONSUMER_TOPICS: 'a/b' can't be a topic's name[^;]*$"):
        load(environment, CONSUMER_TOPICS="a/b")


def test_spaces_around_topics_and_empty_ones_do_not_count(environment: SetVariables) -> None:
    assert load(environment, CONSUMER_TOPICS=" a , b,, ").topics == ("a", "b")


def test_the_most_topics_allowed_are_32(environment: SetVariables) -> None:
    assert len(load(environment, CONSUMER_TOPICS=",".join(f"t{n}" for n in range(32))).topics) == 32


@pytest.mark.parametrize("text", ["true", "1", "yes", "True"])
def test_a_switch_may_be_written_as_people_do(environment: SetVariables, text: str) -> None:
    assert load(environment, CONSUMER_BATCH="false").batch is False
    assert load(environment, CONSUMER_BATCH=text).batch is True


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("earliest", "earliest"),
        ("latest", "latest"),
        ("2026-02-20T23:45:00+01:00", MOMENT),
        ("2026-02-20 22:45:00Z", MOMENT),
    ],
)
def test_a_group_begins_at_an_end_or_at_a_moment(environment: SetVariables, text: str, start: object) -> None:
    assert load(environment, CONSUMER_START_FROM=text).start_from == start


def test_every_wrong_one_is_named_at_once(environment: SetVariables) -> None:
    with pytest.raises(ConfigurationError, match=r"CONSUMER_TOPICS: .*; CONSUMER_COMMIT: .*; CONSUMER_MAX_ATTEMPTS: "):
        load(environment, CONSUMER_TOPICS=",", CONSUMER_COMMIT="no", CONSUMER_MAX_ATTEMPTS="0")


def test_settings_do_not_change_once_loaded(environment: SetVariables) -> None:
    settings = load(environment)
    with pytest.raises(ValueError, match="frozen"):
        settings.batch = False  # type: ignore[misc]


def test_a_transaction_leaves_nothing_to_commit_now_and_then(environment: SetVariables) -> None:
    with pytest.raises(ConfigurationError, match="CONSUMER_COMMIT is auto: with CONSUMER_DELIVERY exactly-once"):
        load(environment, CONSUMER_DELIVERY="exactly-once", CONSUMER_COMMIT="auto")
