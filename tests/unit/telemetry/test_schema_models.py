"""The pydantic models and the JSON Schema say what the parsers do, and show it to people."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from telemetry.codec import MAX_DEPTH, decode_strict_json, encode_json, measure_depth
from telemetry.errors import InvalidTelemetry
from telemetry.schema import VERSIONS, parse_telemetry
from telemetry.schema.__main__ import build_json_schema, main
from telemetry.schema.models import MODELS, TelemetryV1
from unit.telemetry.documents import READING, devices, json_texts, json_values, messages

MOMENT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)

VALIDATOR = Draft202012Validator(build_json_schema(1))

odd_values = (
    json_values
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([10**308, 10**400, True, 1.0, 1, 0, -0.0, 1e308, "", "a\n", "x" * 129, "2026-02-30 10:00", []])
    | st.dictionaries(st.text(max_size=70), st.integers(-(2**70), 2**70) | st.floats() | json_values, max_size=3)
    | st.just({str(number): number for number in range(257)})
)


@st.composite
def nearly_messages(draw: st.DrawFn) -> dict[str, Any]:
    """Return a valid message of which some field is often missing, or another value."""
    message: dict[str, Any] = dict(draw(messages))
    for _ in range(draw(st.integers(0, 2))):
        field = draw(st.sampled_from([*READING, "extra", "metrics.x", "firmware"]))
        if field == "metrics.x":
            if isinstance(message.get("metrics"), dict):
                message["metrics"] = message["metrics"] | {draw(st.text(max_size=70)): draw(odd_values)}
        elif draw(st.booleans()):
            message[field] = draw(odd_values)
        else:
            message.pop(field, None)
    return message


def judge(value: bytes, device: str | None) -> bytes | None:
    """Return what the pipeline makes of ``value``, or None where it refuses it."""
    try:
        return parse_telemetry(value, device).encode()
    except InvalidTelemetry:
        return None


def judge_by_model(value: bytes, device: str | None) -> bytes | None:
    """Return the same as the model has it: the text is looked at as a text first, and its normal form at the end."""
    try:
        document = decode_strict_json(value)
        normal = TelemetryV1.model_validate(document).normalise(device).encode()
    except (InvalidTelemetry, ValueError):
        return None
    return normal if measure_depth(normal) <= MAX_DEPTH else None


class TestModels:
    def test_every_version_has_one(self) -> None:
        assert MODELS.keys() == VERSIONS.keys()

    @settings(max_examples=1000)
    @given(nearly_messages(), st.none() | devices | st.sampled_from(["", "a\n", "DEV-01"]), st.booleans())
    @example(READING | {"schema_version": True}, None, True)
    @example(READING | {"schema_version": 1.0}, None, True)
    @example(READING | {"metrics": {"a": 2**64, "b": -(2**63) - 1}}, None, True)
    @example(READING | {"metrics": {"a": 10**400}}, None, True)
    @example(READING | {"metrics": {"a": float("nan")}}, None, True)
    @example(READING | {"device": None}, "DEV-01", True)
    @example(READING | {"ts": True}, None, True)
    @example(READING | {"extra": {"a": 1}, "b": 2}, None, True)
    def test_a_model_takes_what_the_pipeline_takes_and_makes_the_same_of_it(
        self, message: dict[str, Any], device: str | None, ascii_only: bool
    ) -> None:
        value = json.dumps(message, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        assert judge_by_model(value, device) == judge(value, device)

    @given(json_texts)
    def test_nor_do_they_differ_on_arbitrary_json(self, text: Any) -> None:
        value = text.text.encode()
        assert judge_by_model(value, None) == judge(value, None)

    @settings(max_examples=1000)
    @given(nearly_messages(), devices)
    def test_pydantics_own_reading_of_the_text_is_the_same(self, message: dict[str, Any], device: str) -> None:
        # Given a text that has one meaning for every reader
        value = json.dumps(message).encode()
        try:
            decode_strict_json(value)
        except InvalidTelemetry:
            return
        # When pydantic reads it
        try:
            read = TelemetryV1.model_validate_json(value)
        except ValidationError:
            read = None
        # Then it is what the pipeline reads
        expected = judge(value, message.get("device", device))
        assert (read is None) == (expected is None)
        if read is not None:
            assert read.normalise(device if read.device is None else None).encode() == expected

    @pytest.mark.parametrize("number", ["NaN", "-Infinity", "1" + "0" * 400])
    @pytest.mark.parametrize("place", ['"x":?', '"x":{"y":[1,?]}', '"extra":{"x":?}'])
    def test_pydantics_own_reading_takes_no_number_that_json_can_not_hold(self, number: str, place: str) -> None:
        text = json.dumps(READING)[:-1] + "," + place.replace("?", number) + "}"
        with pytest.raises(ValidationError, match="finite number"):
            TelemetryV1.model_validate_json(text)

    def test_a_clean_message_is_one(self) -> None:
        clean = parse_telemetry(encode_json(READING | {"firmware": "1.2"})).encode()
        message = TelemetryV1.model_validate_json(clean)
        assert (message.device, message.ts, message.metrics) == ("DEV-01", MOMENT, READING["metrics"])
        assert message.model_extra == {"extra": {"firmware": "1.2"}}

    def test_one_that_was_built_is_a_message_on_the_wire(self) -> None:
        # Given messages as a program builds them
        message = TelemetryV1(schema_version=1, device="DEV-01", metrics={"a": True, "b": 1, "c": 1.5}, ts=MOMENT)
        anonymous = TelemetryV1(schema_version=1, metrics={"a": 1}, ts=MOMENT.astimezone(timezone(timedelta(hours=1))))
        # When the producer encodes them, Then the pipeline takes them
        value = encode_json(message)
        assert (
            value
            == b'{"schema_version":1,"device":"DEV-01","metrics":{"a":true,"b":1,"c":1.5},"ts":"2026-02-20T22:45:00Z"}'
        )
        assert parse_telemetry(value).encode() == value
        assert json.loads(encode_json(anonymous)).keys() == {"schema_version", "metrics", "ts"}
        assert parse_telemetry(encode_json(anonymous), "DEV-02").ts == MOMENT

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("device", "a\n", "control characters"),
            ("device", None, "must be a string"),
            ("ts", "yesterday", "RFC 3339"),
            ("ts", datetime(2026, 2, 20), "must be a time"),  # noqa: DTZ001  # nobody knows whose time it is
            ("metrics", {}, "at least 1"),
            ("metrics", {"a": float("inf")}, "finite"),
            ("metrics", {"a": "20"}, "boolean"),
        ],
    )
    def test_what_it_refuses_it_names(self, field: str, value: object, words: str) -> None:
        with pytest.raises(ValidationError, match=words) as caught:
            TelemetryV1.model_validate(READING | {field: value})
        assert {error["loc"][0] for error in caught.value.errors()} == {field}

    def test_the_device_has_to_be_known_and_one(self) -> None:
        with pytest.raises(ValueError, match="missing"):
            TelemetryV1.model_validate({name: READING[name] for name in READING if name != "device"}).normalise()
        with pytest.raises(ValueError, match="'DEV-02' sent"):
            TelemetryV1.model_validate(READING).normalise("DEV-02")


class TestJsonSchema:
    def test_it_is_one(self) -> None:
        Draft202012Validator.check_schema(build_json_schema(1))

    @given(messages)
    @example(READING | {"ts": 0})
    @example({name: READING[name] for name in READING if name != "device"})
    def test_it_takes_every_valid_message(self, message: dict[str, Any]) -> None:
        assert VALIDATOR.is_valid(message)

    @given(nearly_messages())
    @example(READING | {"device": "a\n"})
    @example(READING | {"device": "\x85"})
    @example(READING | {"device": None})
    @example(READING | {"schema_version": 2})
    @example(READING | {"metrics": {}})
    @example(READING | {"metrics": {"": 1}})
    @example(READING | {"metrics": {"a": None}})
    @example(READING | {"ts": "yesterday"})
    @example(READING | {"ts": -1})
    def test_what_it_refuses_the_pipeline_refuses(self, message: dict[str, Any]) -> None:
        if not VALIDATOR.is_valid(message):
            assert judge(json.dumps(message).encode(), "DEV-01" if "device" not in message else None) is None

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"device": "a\n"}, "device"),
            ({"device": ""}, "device"),
            ({"device": None}, "device"),
            ({"device": "d" * 129}, "device"),
            ({"schema_version": 2}, "schema_version"),
            ({"schema_version": True}, "schema_version"),
            ({"metrics": {}}, "metrics"),
            ({"metrics": {"": 1}}, "metrics"),
            ({"metrics": {"n" * 65: 1}}, "metrics"),
            ({"metrics": {"a": "1"}}, "metrics"),
            ({"metrics": {str(number): 1 for number in range(257)}}, "metrics"),
            ({"ts": "yesterday"}, "ts"),
            ({"ts": "2026-02-20"}, "ts"),
            ({"ts": -1}, "ts"),
            ({"ts": True}, "ts"),
        ],
    )
    def test_it_refuses_what_it_can_tell(self, change: dict[str, Any], path: str) -> None:
        assert {error.path[0] for error in VALIDATOR.iter_errors(READING | change)} == {path}

    def test_it_explains_itself(self) -> None:
        schema = build_json_schema(1)
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["required"] == ["schema_version", "metrics", "ts"]
        for part in (schema, *schema["properties"].values()):
            assert part["title"]
            assert part["description"]
        assert schema["examples"] == [READING]

    @pytest.mark.parametrize("arguments", [[], ["--version", "1"]], ids=["newest", "named"])
    def test_the_command_prints_it(self, arguments: list[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "telemetry.schema", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(done.stdout) == build_json_schema(1)

    def test_a_version_that_is_not_there_is_refused_with_those_that_are(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["--version", "99"])
        assert caught.value.code == 2
        assert "choose from" in capsys.readouterr().err
