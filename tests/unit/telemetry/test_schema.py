"""From a device's bytes to one normal message, or to the reason why not; and never to anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telemetry.errors import InvalidTelemetry
from telemetry.schema import VERSIONS, Telemetry, parse_telemetry
from telemetry.schema.v1 import MAX_DEVICE_CHARACTERS, MAX_METRIC_NAME_CHARACTERS, MAX_METRICS, parse_v1
from unit.telemetry.documents import (
    NASTY,
    READING,
    Text,
    devices,
    json_texts,
    json_values,
    message_texts,
    messages,
    mutated,
)

MOMENT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)

REASONS = {
    "not_utf8",
    "not_json",
    "not_object",
    "duplicate_key",
    "unsupported_schema_version",
    "missing_field",
    "bad_device",
    "device_mismatch",
    "bad_metrics",
    "bad_ts",
    "too_deep",
}
"""Every code that the schema gives; ``too_large`` is ingestion's."""


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def reading(**changes: Any) -> bytes:
    return encode(READING | changes)


def reading_without(field: str) -> bytes:
    return encode({name: value for name, value in READING.items() if name != field})


def judge(value: bytes, device: str | None = None) -> Telemetry | InvalidTelemetry:
    """Return the message, or why it is none; any other error is raised."""
    try:
        return parse_telemetry(value, device)
    except InvalidTelemetry as error:
        return error


def refusal(value: bytes | None, device: str | None = None) -> InvalidTelemetry:
    with pytest.raises(InvalidTelemetry) as caught:
        parse_telemetry(value, device)
    return caught.value


class TestValid:
    def test_the_example_of_the_design_parses(self) -> None:
        assert parse_telemetry(encode(READING)) == Telemetry(
            1, "DEV-01", {"humidity": 20, "temperature": 20}, MOMENT, extra={}
        )

    @pytest.mark.parametrize(
        "ts", ["2026-02-20T22:45:00Z", "2026-02-20T23:45:00+01:00", 1771627500, 1771627500000, 1771627500.0]
    )
    def test_the_same_moment_may_be_written_in_each_form(self, ts: object) -> None:
        assert parse_telemetry(reading(ts=ts)).ts == MOMENT

    def test_booleans_and_all_finite_numbers_are_metrics(self) -> None:
        metrics = {"on": True, "off": False, "int": -3, "float": 0.5, "big": 2**64 - 1, "small": 5e-324}
        assert parse_telemetry(reading(metrics=metrics)).metrics == metrics

    def test_a_boolean_stays_a_boolean_and_a_number_a_number(self) -> None:
        message = parse_telemetry(reading(metrics={"on": True, "one": 1}))
        assert json.loads(message.encode())["metrics"] == {"on": True, "one": 1}
        assert b'"on":true,"one":1' in message.encode()

    def test_unknown_fields_are_kept_under_extra(self) -> None:
        # Given a message with fields that the schema does not know
        message = parse_telemetry(reading(firmware="1.2", site={"x": None}))
        # Then they are kept, in the message and in its clean form
        assert message.extra == {"firmware": "1.2", "site": {"x": None}}
        assert json.loads(message.encode()) == READING | {"ts": "2026-02-20T22:45:00Z", "extra": message.extra}

    @pytest.mark.parametrize(
        ("unknown", "extra"),
        [
            ({"extra": {"firmware": "1.2"}}, {"firmware": "1.2"}),
            ({"extra": {"firmware": "1.2"}, "site": 1}, {"firmware": "1.2", "site": 1}),
            ({"extra": {"ts": 1, "device": 2}}, {"ts": 1, "device": 2}),
            ({"extra": {"extra": 1}}, {"extra": 1}),
            # What lies there and beside it too would overwrite each other.
            ({"extra": {"site": 1}, "site": 2}, {"extra": {"site": 1}, "site": 2}),
            ({"extra": {}}, {"extra": {}}),
            ({"extra": 5}, {"extra": 5}),
            ({"extra": None, "site": 1}, {"extra": None, "site": 1}),
        ],
    )
    def test_what_is_under_extra_already_stays_there(self, unknown: dict[str, Any], extra: dict[str, Any]) -> None:
        assert parse_telemetry(reading(**unknown)).extra == extra

    def test_without_unknown_fields_the_clean_form_has_no_extra(self) -> None:
        assert json.loads(parse_telemetry(encode(READING)).encode()) == READING | {"ts": "2026-02-20T22:45:00Z"}

    def test_the_transport_fills_in_for_a_missing_device(self) -> None:
        message = parse_telemetry(reading_without("device"), "DEV-02")
        assert message.device == "DEV-02"
        assert json.loads(message.encode())["device"] == "DEV-02"

    def test_an_unknown_field_beside_a_missing_device_is_kept(self) -> None:
        value = encode({"schema_version": 1, "metrics": {"a": 1}, "ts": 0, "firmware": "1.2"})
        assert parse_telemetry(value, "DEV-02").extra == {"firmware": "1.2"}

    def test_a_device_that_agrees_with_the_transport_passes(self) -> None:
        assert parse_telemetry(encode(READING), "DEV-01").device == "DEV-01"

    def test_the_longest_device_name_and_most_metrics_pass(self) -> None:
        metrics = {f"{number:0{MAX_METRIC_NAME_CHARACTERS}}": number for number in range(MAX_METRICS)}
        message = parse_telemetry(reading(device="d" * MAX_DEVICE_CHARACTERS, metrics=metrics))
        assert (message.device, message.metrics) == ("d" * MAX_DEVICE_CHARACTERS, metrics)

    def test_lengths_are_counted_in_characters_not_bytes(self) -> None:
        device = "\U0001f321" * MAX_DEVICE_CHARACTERS
        assert parse_telemetry(reading(device=device, metrics={"ü" * MAX_METRIC_NAME_CHARACTERS: 1})).device == device

    @pytest.mark.parametrize("device", ["DEV 01", "ä/ö", "a\u200bb", "\u00a0", "/", '"'], ids=ascii)
    def test_a_device_may_hold_anything_but_control_characters(self, device: str) -> None:
        assert parse_telemetry(reading(device=device)).device == device


INVALID: list[tuple[bytes | None, str | None, str, list[str]]] = [
    (None, None, "not_json", ["empty"]),
    (b"", None, "not_json", ["empty"]),
    (b"temperature=20", None, "not_json", ["not JSON"]),
    (b"\xef\xbb\xbf" + encode(READING), None, "not_json", ["BOM"]),
    (b'{"device":"\xff"}', None, "not_utf8", ["0xff"]),
    (encode(READING).replace(b"DEV-01", b"\\ud83c"), None, "not_json", ["surrogate"]),
    (encode(READING).replace(b"20,", b"NaN,"), None, "not_json", ["NaN"]),
    (encode(READING).replace(b"20,", b"-Infinity,"), None, "not_json", ["-Infinity"]),
    (encode(READING).replace(b"20,", b"1e400,"), None, "not_json", ["infinity"]),
    (encode(READING).replace(b"20,", b"9" * 5000 + b","), None, "not_json", ["infinity"]),
    (b"[" * 10_000 + b"]" * 10_000, None, "too_deep", ["64 levels"]),
    (encode(READING | {"x": 1}).replace(b'"x": 1', b'"x":' + b"[" * 64 + b"]" * 64), None, "too_deep", ["64 levels"]),
    (b"null", None, "not_object", ["null"]),
    (b"[1]", None, "not_object", ["an array"]),
    (b'"text"', None, "not_object", ["a string"]),
    (b"true", None, "not_object", ["a boolean"]),
    (b"1", None, "not_object", ["a number"]),
    (b"1.5", None, "not_object", ["a number"]),
    (b'{"device":"a","device":"b"}', None, "duplicate_key", ["'device'"]),
    (encode(READING).replace(b'"humidity"', b'"temp\\u0065rature"'), None, "duplicate_key", ["'temperature'"]),
    (encode(READING).replace(b'"humidity": 20', b'"\\u003a": {":":1}, ":": 2'), None, "duplicate_key", ["':'"]),
    (reading_without("schema_version"), None, "missing_field", ["'schema_version'"]),
    (reading(schema_version=2), None, "unsupported_schema_version", ["'schema_version'", "'2'", "known versions: 1"]),
    (reading(schema_version=0), None, "unsupported_schema_version", ["'0'"]),
    (reading(schema_version="1"), None, "unsupported_schema_version", ["'schema_version'"]),
    (reading(schema_version=1.0), None, "unsupported_schema_version", ["'1.0'"]),
    (reading(schema_version=True), None, "unsupported_schema_version", ["'True'"]),
    (reading(schema_version=None), None, "unsupported_schema_version", ["'schema_version'"]),
    (reading(schema_version=[1]), None, "unsupported_schema_version", ["'[1]'"]),
    (reading_without("device"), None, "missing_field", ["'device'", "nothing else names"]),
    (reading_without("metrics"), None, "missing_field", ["'metrics'"]),
    (reading_without("ts"), None, "missing_field", ["'ts'"]),
    (b"{}", None, "missing_field", ["'schema_version'"]),
    (reading(device=""), None, "bad_device", ["'device'", "1 to 128", "not 0"]),
    (reading(device="d" * 129), None, "bad_device", ["'device'", "not 129"]),
    (reading(device=7), None, "bad_device", ["'device'", "a string"]),
    (reading(device=None), None, "bad_device", ["'device'", "a string"]),
    (reading(device=None), "DEV-01", "bad_device", ["'device'", "a string"]),
    (reading(device=["DEV-01"]), "DEV-01", "bad_device", ["'device'"]),
    (reading(device="a\nb"), None, "bad_device", ["'device'", "control characters"]),
    (reading(device="a\x00"), None, "bad_device", ["control characters"]),
    (reading(device="a\x7f"), None, "bad_device", ["control characters"]),
    (reading(device="a\x85"), None, "bad_device", ["control characters"]),
    (reading_without("device"), "d" * 129, "bad_device", ["'device'"]),
    (reading(), "DEV-02", "device_mismatch", ["'device'", "'DEV-01'", "'DEV-02'"]),
    (reading(), "dev-01", "device_mismatch", ["'dev-01'"]),
    (reading(metrics={}), None, "bad_metrics", ["'metrics'", "1 to 256", "not 0"]),
    (reading(metrics={str(n): n for n in range(257)}), None, "bad_metrics", ["'metrics'", "not 257"]),
    (reading(metrics=None), None, "bad_metrics", ["'metrics'", "an object"]),
    (reading(metrics=[1]), None, "bad_metrics", ["'metrics'", "an object"]),
    (reading(metrics=20), None, "bad_metrics", ["'metrics'", "an object"]),
    (reading(metrics={"": 1}), None, "bad_metrics", ["'metrics'", "1 to 64"]),
    (reading(metrics={"n" * 65: 1}), None, "bad_metrics", ["'metrics'", "1 to 64", "nnn"]),
    (reading(metrics={"a": 1, "temperature": "20"}), None, "bad_metrics", ["'metrics.temperature'", "a number"]),
    (reading(metrics={"temperature": None}), None, "bad_metrics", ["'metrics.temperature'"]),
    (reading(metrics={"temperature": {"value": 1}}), None, "bad_metrics", ["'metrics.temperature'"]),
    (reading(metrics={"temperature": [1]}), None, "bad_metrics", ["'metrics.temperature'"]),
    (reading(ts="yesterday"), None, "bad_ts", ["'ts'", "'yesterday'", "RFC 3339"]),
    (reading(ts="2026-02-30 10:00"), None, "bad_ts", ["'ts'", "calendar"]),
    (reading(ts="2026-02-20"), None, "bad_ts", ["'ts'"]),
    (reading(ts=""), None, "bad_ts", ["'ts'"]),
    (reading(ts=None), None, "bad_ts", ["'ts'", "a time"]),
    (reading(ts=True), None, "bad_ts", ["'ts'", "a time"]),
    (reading(ts=[1]), None, "bad_ts", ["'ts'", "a time"]),
    (reading(ts=-1), None, "bad_ts", ["'ts'", "1970"]),
    (reading(ts=1e300), None, "bad_ts", ["'ts'", "too large"]),
    (reading(ts=2**64 - 1), None, "bad_ts", ["'ts'", "too large"]),
    (reading(ts="2" * 1_000_000), None, "bad_ts", ["'ts'", "'2222"]),
]


class TestInvalid:
    @pytest.mark.parametrize(("value", "device", "reason", "words"), INVALID, ids=[case[2] for case in INVALID])
    def test_it_has_a_reason_and_a_short_sentence_that_names_the_field(
        self, value: bytes | None, device: str | None, reason: str, words: list[str]
    ) -> None:
        error = refusal(value, device)
        assert error.reason == reason
        for word in words:
            assert word in str(error)
        assert len(str(error)) < 400

    def test_the_table_reaches_every_reason(self) -> None:
        assert {reason for _, _, reason, _ in INVALID} == REASONS

    def test_a_number_that_is_not_finite_is_refused_whatever_decoded_it(self) -> None:
        with pytest.raises(InvalidTelemetry, match=r"'metrics\.temperature' is not a finite number") as caught:
            parse_v1(READING | {"metrics": {"temperature": float("inf")}}, None)
        assert caught.value.reason == "bad_metrics"

    def test_the_registry_holds_the_versions_that_the_sentence_lists(self) -> None:
        assert str(refusal(reading(schema_version=99))).endswith(f"known versions: {', '.join(map(str, VERSIONS))}")

    def test_ten_megabytes_are_judged_like_anything_else(self) -> None:
        assert refusal(b'{"a":"' + b"\\\\" * 5_000_000 + b'"').reason == "not_json"
        assert refusal(b"\xff" * 10_000_000).reason == "not_utf8"


class TestNormalForm:
    @given(messages)
    def test_a_clean_message_parses_again_to_the_same(self, document: dict[str, Any]) -> None:
        # Given a valid message
        first = parse_telemetry(encode(document))
        # When its clean form goes through the schema once more
        again = parse_telemetry(first.encode(), first.device)
        # Then it says the same, and its clean form is the same again
        assert again == first
        assert list(map(type, again.metrics.values())) == list(map(type, first.metrics.values()))
        assert json.loads(again.encode()) == json.loads(first.encode())

    @given(messages)
    def test_nothing_of_a_message_is_lost(self, document: dict[str, Any]) -> None:
        # Given a message, its clean form, and the fields that the schema does not know
        clean = json.loads(parse_telemetry(encode(document)).encode())
        extra = clean.pop("extra", {})
        unknown = {name: value for name, value in document.items() if name not in READING}
        # Then the known ones are there as they were, and the others under extra, where some may have been already
        assert clean == {name: document[name] for name in READING}
        under_extra = unknown.pop("extra") if unknown.get("extra") and extra != unknown else {}
        assert extra == under_extra | unknown

    def test_an_unknown_field_of_the_deepest_nesting_allowed_leaves_a_clean_form_that_parses(self) -> None:
        # Given a message that is as deep as one may be, in a field that moves one level down, under extra
        deepest = encode(READING | {"x": "?"}).replace(b'"?"', b"[" * 63 + b"]" * 63)
        # When
        verdict = judge(deepest)
        # Then it is refused at once, or the next reader takes its clean form
        if isinstance(verdict, InvalidTelemetry):
            assert verdict.reason == "too_deep"
        else:
            assert parse_telemetry(verdict.encode()).ts == MOMENT


class TestNothingElse:
    @given(st.binary(max_size=100) | st.sampled_from(NASTY), st.none() | st.text(max_size=4))
    def test_arbitrary_bytes_are_no_message(self, value: bytes, device: str | None) -> None:
        assert refusal(value, device).reason in REASONS

    @settings(max_examples=1000)
    @given(message_texts())
    @example(Text('{"schema_version":1,"device":":","metrics":{"a:":1,"a:":1},"ts":0}', 2, True))
    @example(Text('{"schema_version":1,"device":"d","metrics":{"a" :1},"ts":0,"device":":"}', 2, True))
    @example(Text('{"schema_version":1,"device":"\\u003a","metrics":{"a":1,"a":1},"ts":0}', 2, True))
    def test_a_message_is_refused_exactly_where_a_name_comes_twice(self, message: Text) -> None:
        verdict = judge(message.text.encode())
        if message.duplicated:
            assert isinstance(verdict, InvalidTelemetry)
            assert verdict.reason == "duplicate_key"
        else:
            assert isinstance(verdict, Telemetry)

    @given(json_texts)
    @example(Text("{}", 1, False))
    def test_arbitrary_json_is_no_message(self, document: Text) -> None:
        assert refusal(document.text.encode()).reason in REASONS

    @given(mutated(), st.none() | devices)
    def test_a_damaged_message_parses_or_has_a_reason(self, value: bytes, device: str | None) -> None:
        verdict = judge(value, device)
        if isinstance(verdict, InvalidTelemetry):
            assert verdict.reason in REASONS
            assert str(verdict)
        else:
            # What still parses is whole: its clean form parses too.
            assert parse_telemetry(verdict.encode()).device == verdict.device

    @pytest.mark.parametrize("field", sorted(READING))
    @given(value=json_values)
    def test_a_field_of_any_other_kind_is_blamed_by_name(self, field: str, value: object) -> None:
        # Given the example with one field replaced
        verdict = judge(reading(**{field: value}))
        # Then, if it is invalid, the reason and the sentence are that field's
        if isinstance(verdict, InvalidTelemetry):
            assert verdict.reason == {"schema_version": "unsupported_schema_version"}.get(field, f"bad_{field}")
            assert f"'{field}" in str(verdict)
