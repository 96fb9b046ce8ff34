"""A process's settings, its exit codes, and the last words that the operator reads from a pod's status."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry import process
from telemetry.errors import (
    ConfigurationError,
    DeliveryError,
    FatalKafkaError,
    HandlerError,
    InvalidTelemetry,
    IotHubError,
    NotYetAvailable,
    QueueFull,
)
from telemetry.process import ProcessSettings, build_last_words, find_version, report_failure, run_process
from telemetry.redaction import learn_secrets
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

pytestmark = pytest.mark.usefixtures("own_logging")

KEPT_BY_KUBERNETES = 4096

FAILURES = [
    (ConfigurationError("HTTP_PORT: no"), 78, "ConfigurationInvalid"),
    (HandlerError("HandlerNotFound", "there is no module 'x'"), 78, "HandlerNotFound"),
    (HandlerError("HandlerFailed", "setup() failed"), 78, "HandlerFailed"),
    (HandlerError("MessageFailed", "t[0] offset 7 can't be handled"), 70, "MessageFailed"),
    (NotYetAvailable("TopicNotFound", "topic 'x' is not in Kafka"), 75, "TopicNotFound"),
    (NotYetAvailable("KafkaUnavailable", "no Kafka answers"), 75, "KafkaUnavailable"),
    (FatalKafkaError("fenced"), 70, "FatalKafkaError"),
    (DeliveryError("too large", code="MSG_SIZE_TOO_LARGE"), 70, "DeliveryError"),
    (QueueFull("full"), 70, "QueueFull"),
    (InvalidTelemetry("bad_ts", "'ts'"), 70, "InvalidTelemetry"),
    (IotHubError("KeyError: 'x'"), 70, "Crashed"),
]


@pytest.fixture
def last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A termination log, empty as Kubernetes makes it, where the process looks for its own."""
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setenv("TERMINATION_LOG", str(path))
    return path


class TestSettings:
    CASES = (
        Case("HTTP_PORT", "9000", 9000, ("x", "-1", "65536")),
        Case("LOG_LEVEL", "WARNING", "WARNING", ("warning", "TRACE", "10")),
        Case("LOG_FORMAT", "json", "json", ("xml",)),
    )

    def test_every_setting_has_its_case(self) -> None:
        assert cover(ProcessSettings, self.CASES)

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.variable)
    def test_a_variable_changes_its_setting(self, environment: SetVariables, case: Case) -> None:
        environment({})
        before = load_settings(ProcessSettings)
        environment({case.variable: case.text})
        assert load_settings(ProcessSettings) == before.model_copy(update={case.field(ProcessSettings): case.value})
        assert load_settings(ProcessSettings) != before

    @pytest.mark.parametrize(("variable", "text"), wrong_values(CASES))
    def test_a_wrong_value_is_blamed_by_name(self, environment: SetVariables, variable: str, text: str) -> None:
        environment({variable: text})
        with pytest.raises(ConfigurationError, match=f"{variable}: .*{text!r}"):
            load_settings(ProcessSettings)

    def test_the_defaults(self, environment: SetVariables) -> None:
        environment({})
        assert load_settings(ProcessSettings) == ProcessSettings(http_port=8081, log_level="INFO", log_format=None)


class TestRunProcess:
    def test_a_body_that_returns_is_success(self, environment: SetVariables, last_words: Path) -> None:
        # Given
        environment({"HTTP_PORT": "9000"})
        given: list[ProcessSettings] = []
        # When
        code = run_process(given.append)
        # Then
        assert (code, given[0].http_port, last_words.read_bytes()) == (0, 9000, b"")

    @pytest.mark.parametrize(("error", "code", "reason"), FAILURES, ids=lambda value: str(value)[:20])
    def test_what_ends_it_is_its_exit_code_and_its_last_words(
        self, error: IotHubError, code: int, reason: str, environment: SetVariables, last_words: Path
    ) -> None:
        def body(_: ProcessSettings) -> None:
            raise error

        environment({})
        assert run_process(body) == code
        assert json.loads(last_words.read_bytes()) == {"reason": reason, "message": str(error)}

    def test_what_nobody_foresaw_has_a_traceback_in_the_log_and_its_kind_in_the_last_words(
        self, environment: SetVariables, last_words: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # Given
        def body(_: ProcessSettings) -> None:
            raise KeyError("temperature")

        environment({"LOG_FORMAT": "json"})
        # When, Then
        assert run_process(body) == 70
        assert json.loads(last_words.read_bytes()) == {"reason": "Crashed", "message": "KeyError: 'temperature'"}
        crash, end = map(json.loads, capsys.readouterr().err.splitlines())
        assert crash["exception"].startswith("Traceback")
        assert (end["event"], end["reason"], end["exit_code"]) == ("process ends", "Crashed", 70)
        assert "exception" not in end

    def test_wrong_settings_are_its_end_before_the_body(self, environment: SetVariables, last_words: Path) -> None:
        environment({"LOG_LEVEL": "loud"})

        def body(_: ProcessSettings) -> None:
            raise AssertionError("must not run")

        assert run_process(body) == 78
        words = json.loads(last_words.read_bytes())
        assert words["reason"] == "ConfigurationInvalid"
        assert words["message"].startswith("LOG_LEVEL: ")

    def test_the_log_has_the_level_and_form_that_are_set(
        self, environment: SetVariables, last_words: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        environment({"LOG_LEVEL": "ERROR", "LOG_FORMAT": "console"})

        def body(_: ProcessSettings) -> None:
            process.log.warning("not seen")
            raise ConfigurationError("X: no")

        run_process(body)
        text = capsys.readouterr().err
        assert "not seen" not in text
        assert "process ends" in text
        assert not text.startswith("{")

    def test_a_person_who_interrupts_the_start_sees_no_traceback(
        self, environment: SetVariables, last_words: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def body(_: ProcessSettings) -> None:
            raise KeyboardInterrupt

        environment({})
        assert run_process(body) == 130
        assert (last_words.read_bytes(), capsys.readouterr().err) == (b"", "")

    def test_a_secret_of_the_environment_is_in_no_event(
        self, environment: SetVariables, last_words: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def body(_: ProcessSettings) -> None:
            raise ValueError("no such user: iot, s3cr3t-of-the-environment")

        environment({"KAFKA_SASL_PASSWORD": "s3cr3t-of-the-environment"})
        assert run_process(body) == 70
        assert b"s3cr3t" not in last_words.read_bytes()
        shown = capsys.readouterr().err
        assert "s3cr3t" not in shown
        assert "no such user: iot, ***" in shown


class TestLastWords:
    def test_they_hold_no_secret(self) -> None:
        learn_secrets({"api_token": "s3cr3t-of-the-last-words"})
        words = json.loads(build_last_words("HandlerFailed", "401 for s3cr3t-of-the-last-words"))
        assert words["message"] == "401 for ***"

    @given(st.text() | st.text('\0"\\\n', min_size=1000, max_size=3000) | st.text("я\U0001f321\ud800", max_size=5000))
    def test_they_are_whole_json_within_what_kubernetes_keeps(self, message: str) -> None:
        words = build_last_words("HandlerFailed", message)
        assert len(words) <= KEPT_BY_KUBERNETES
        assert json.loads(words)["reason"] == "HandlerFailed"

    @pytest.mark.parametrize("message", ["", "short", "п" * 1000, 'a "quoted"\nline'])
    def test_what_fits_is_not_cut(self, message: str) -> None:
        assert json.loads(build_last_words("Crashed", message)) == {"reason": "Crashed", "message": message}

    @pytest.mark.parametrize("character", ["x", "я", "\U0001f321", "\0", '"'])
    def test_what_does_not_fit_keeps_its_beginning(self, character: str) -> None:
        message = "handler.py failed: " + character * 10_000
        kept = json.loads(build_last_words("Crashed", message))["message"]
        assert message.startswith(kept.rstrip("…"))
        assert len(kept.encode()) > 400

    def test_without_a_termination_log_there_is_an_exit_code_all_the_same(self, tmp_path: Path) -> None:
        assert report_failure(ConfigurationError("x"), termination_log=tmp_path / "none") == 78
        assert list(tmp_path.iterdir()) == []

    def test_a_message_that_is_no_unicode_does_not_cost_the_exit_code(self, last_words: Path) -> None:
        assert report_failure(HandlerError("HandlerFailed", "bad \ud800 name")) == 78
        assert json.loads(last_words.read_bytes())["reason"] == "HandlerFailed"


class TestFindVersion:
    def test_it_is_that_of_the_installed_wheel(self) -> None:
        assert find_version() == importlib.metadata.version("iot-hub-telemetry")

    def test_without_a_wheel_the_image_says_or_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def not_installed(_: str) -> str:
            raise importlib.metadata.PackageNotFoundError

        monkeypatch.setattr(process, "version", not_installed)
        monkeypatch.setenv("IOT_HUB_VERSION", "1.2.3")
        assert find_version() == "1.2.3"
        monkeypatch.delenv("IOT_HUB_VERSION")
        assert find_version() == "unknown"
