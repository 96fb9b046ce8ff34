"""JSON in and out: everything that is no JSON, or not the same JSON to every reader, has a reason."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.codec import MAX_DEPTH, decode_json, decode_strict_json, encode_json, measure_depth
from telemetry.errors import InvalidTelemetry
from unit.telemetry.documents import Text, json_texts, json_values


def nested(depth: int, *, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


def judge(value: bytes) -> object:
    """Return the document, or why it is none; any other error is raised."""
    try:
        return decode_json(value)
    except InvalidTelemetry as error:
        return error


def refusal(value: bytes, *, strict: bool = True) -> InvalidTelemetry:
    with pytest.raises(InvalidTelemetry) as caught:
        (decode_strict_json if strict else decode_json)(value)
    return caught.value


class TestEncodeJson:
    @given(json_values)
    def test_what_was_encoded_decodes_to_the_same(self, value: object) -> None:
        assert decode_json(encode_json(value)) == value

    def test_text_is_utf8_and_not_escaped(self) -> None:
        assert encode_json({"ort": "Zürich 🌡"}) == '{"ort":"Zürich 🌡"}'.encode()

    def test_null_itself_is_json(self) -> None:
        assert encode_json({"a": None, "b": [None, 1.5]}) == b'{"a":null,"b":[null,1.5]}'


class TestDecodeJson:
    @pytest.mark.parametrize(
        ("value", "reason", "words"),
        [
            (b"\xff{}", "not_utf8", ["0xff", "position 0"]),
            (b'{"a":"\xc3(', "not_utf8", ["0xc3", "position 6"]),
            ("é".encode("latin-1"), "not_utf8", ["0xe9"]),
            ("{}".encode("utf-16"), "not_utf8", ["0xff"]),
            (b'"\xed\xa0\x80"', "not_utf8", ["0xed", "position 1"]),  # a surrogate, encoded as if it were a character
            (b"", "not_json", ["empty"]),
            (b"   ", "not_json", []),
            (b"hello", "not_json", ["character"]),
            (b'{"a":1}x', "not_json", ["character 7"]),
            (b'{"a":1,}', "not_json", ["character"]),
            (b"{'a':1}", "not_json", ["character 1"]),
            (b"\xef\xbb\xbf{}", "not_json", ["BOM"]),
            (b'"\\ud800"', "not_json", ["surrogate"]),
            (b'{"a":"\\udc00"}', "not_json", ["surrogate"]),
            (b'"a\nb"', "not_json", ["control character"]),
            (b'{"a":NaN}', "not_json", ["NaN", "character 5", "finite"]),
            (b"[Infinity]", "not_json", ["Infinity", "finite"]),
            (b"-Infinity", "not_json", ["-Infinity", "character 0"]),
            (b'{"NaN":nan}', "not_json", ["character"]),
            (b"[1e400]", "not_json", ["infinity"]),
            (b'{"a":' + b"9" * 5000 + b"}", "not_json", ["infinity"]),
            (b"[01]", "not_json", ["character"]),
            (b'"abc', "not_json", ["character"]),
            (b'"abc\\', "not_json", ["character"]),
            (nested(10_000), "too_deep", ["64 levels"]),
            (b'{"a":' * 10_000, "too_deep", ["64 levels"]),
        ],
    )
    def test_what_is_no_json_is_refused_with_a_reason(self, value: bytes, reason: str, words: list[str]) -> None:
        error = refusal(value, strict=False)
        assert error.reason == reason
        for word in words:
            assert word in str(error)

    def test_a_word_within_a_string_is_not_taken_for_a_number(self) -> None:
        # Given a text that is broken elsewhere, and NaN only as the text of a string
        error = refusal(b'{"unit":"NaN",}', strict=False)
        # Then the sentence does not blame it
        assert "finite" not in str(error)

    @given(st.binary(max_size=64) | st.text('[]{}",:\\u0dE.-+ntrue ', max_size=16).map(str.encode))
    @example(b"")
    @example(b'"\\')
    @example(b"\xf0\x9f")
    def test_arbitrary_bytes_decode_or_are_refused(self, value: bytes) -> None:
        verdict = judge(value)
        if isinstance(verdict, InvalidTelemetry):
            assert verdict.reason in {"not_utf8", "not_json", "too_deep"}
            assert str(verdict)
        else:
            assert verdict == json.loads(value.decode())

    def test_it_takes_a_name_twice_for_its_last_value_as_most_readers_do(self) -> None:
        assert decode_json(b'{"a":1,"a":2}') == {"a": 2}

    def test_nesting_between_ours_and_the_parsers_limit_decodes(self) -> None:
        assert decode_json(nested(MAX_DEPTH + 1))


class TestDecodeStrictJson:
    @given(json_texts)
    @example(Text('{"a:":1,"a":":"}', 1, False))
    @example(Text('{"a":":","a":1}', 1, True))
    @example(Text('{"a":{"b":1,"b":1}}', 2, True))
    @example(Text('[[{"":0,"":0}]]', 3, True))
    @example(Text('{"a":1,"\\u0061":1}', 1, True))
    @example(Text('{"a":1,"b\\u003a":1}', 1, False))
    @example(Text('{"a":1,"a":"\\u003a"}', 1, True))
    @example(Text('{"a\\":":1,"a\\":":1}', 1, True))
    @example(Text('{"a":{":::":1,":::":2}}', 2, True))
    @example(Text('{"a":"x\\"","a":":"}', 1, True))
    def test_it_refuses_a_text_exactly_where_a_name_comes_twice(self, document: Text) -> None:
        # Given a text of which it is known by construction whether some object has a name twice
        value = document.text.encode()
        # When it is decoded, Then it is refused exactly for that
        if document.duplicated:
            assert refusal(value).reason == "duplicate_key"
        else:
            assert decode_strict_json(value) == json.loads(value)

    def test_the_sentence_shows_the_name_and_not_a_megabyte_of_it(self) -> None:
        assert "'temperature'" in str(refusal(b'{"m":{"temperature":1,"temperature":2}}'))
        long_name = b'"' + b"n" * 1_000_000 + b'"'
        assert len(str(refusal(b"{" + long_name + b":1," + long_name + b":1}"))) < 200

    def test_a_huge_integer_beside_an_escape_does_not_reach_int(self) -> None:
        # Given an integer of more digits than int() takes, below the limit of a double, and an escape for the slow look
        digits = b"1" + b"0" * 300
        # When, Then it is a number like any other
        assert decode_strict_json(b'{"a":' + digits + b',"b":"\\n"}') == {"a": 1e300, "b": "\n"}

    def test_a_fraction_of_ten_thousand_digits_beside_an_escape_is_a_number(self) -> None:
        assert decode_strict_json(b'{"a":0.' + b"3" * 10_000 + b',"b":"\\n"}')["a"] == pytest.approx(1 / 3)

    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
    def test_the_deepest_nesting_allowed_passes_and_one_more_is_refused(self, opening: str, closing: str) -> None:
        inner = "1" if closing == "}" else ""
        deepest = opening * MAX_DEPTH + inner + closing * MAX_DEPTH
        assert decode_strict_json(deepest.encode())
        error = refusal((opening + deepest + closing).encode())
        assert error.reason == "too_deep"
        assert "64 levels" in str(error)

    def test_brackets_within_strings_and_side_by_side_are_no_depth(self) -> None:
        # Given more brackets than levels are allowed
        text = json.dumps({"a": "[{" * 200, "b": [[] for _ in range(200)], "c": '\\"[' * 100})
        # Then the text passes
        assert decode_strict_json(text.encode()) == json.loads(text)

    def test_what_decode_json_refuses_is_refused_for_the_same_reason(self) -> None:
        assert refusal(b"\xff").reason == "not_utf8"
        assert refusal(b"{").reason == "not_json"


class TestMeasureDepth:
    @given(json_texts)
    def test_it_is_the_depth_of_the_document(self, document: Text) -> None:
        assert measure_depth(document.text.encode()) == document.depth

    @given(st.binary(max_size=64) | st.text('[]{}"\\a', max_size=64).map(str.encode))
    def test_it_takes_any_bytes(self, value: bytes) -> None:
        assert 0 <= measure_depth(value) <= len(value)

    @pytest.mark.parametrize("brackets", [b"[[[", b'{"a":{"b":[', b"[[[]", b'[["]]', b'[[{"a":"[['])
    def test_a_text_that_stops_early_is_as_deep_as_it_got(self, brackets: bytes) -> None:
        assert measure_depth(brackets) == {b'[["]]': 2}.get(brackets, 3)

    @pytest.mark.parametrize(
        "unit",
        [b'\\"', b'"', b"[", b'["', b'"a"', b"\\", b'"\\', b'{"a":', b"[]", b'""['],
        ids=lambda unit: unit.decode(),
    )
    @pytest.mark.parametrize("before", [b"", b'"'], ids=["as it is", "in a string"])
    def test_four_times_the_text_takes_about_four_times_as_long(self, unit: bytes, before: bytes) -> None:
        # Given a text made to be looked at again and again, and one of four times the length
        small, large = (before + unit * (size // len(unit)) for size in (30_000, 120_000))
        # When both are measured (processor time, best of three: other processes don't count)
        # Then the ratio is far from the 16 that a quadratic look would take
        assert seconds(large) / seconds(small) < 9


def seconds(value: bytes) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        measure_depth(value)
        best = min(best, time.process_time() - started)
    return max(best, 2e-5)
