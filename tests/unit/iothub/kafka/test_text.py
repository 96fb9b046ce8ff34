"""What devices send is shown safely, and written as JSON without loss."""

from __future__ import annotations

import json
from base64 import b64decode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iothub.kafka.text import dump_hex, escape, is_text, show_bytes, to_json_headers, to_json_text, to_json_value


@given(st.binary(max_size=200))
def test_whatever_it_is_only_printable_characters_reach_the_terminal(content: bytes) -> None:
    assert show_bytes(content).isprintable()


@given(st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Co"]), min_size=1, max_size=20))
def test_what_could_move_a_cursor_or_hide_text_is_escaped(text: str) -> None:
    assert escape(text).isascii()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"t": 20.5}', '{"t": 20.5}'),
        ("Käse".encode(), "Käse"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"a\r\n\tb", r"a\r\n\tb"),
        (b"\xff\xfe1", r"\xff\xfe1"),
        ("\u202egnp.exe".encode(), r"\u202egnp.exe"),
        ("\U000e0041".encode(), r"\U000e0041"),
        ("\x85".encode(), r"\u0085"),
        (b"", ""),
        (None, "(null)"),
    ],
)
def test_escapes(content: bytes | None, text: str) -> None:
    assert show_bytes(content) == text


def test_a_long_one_is_cut_and_says_how_long_it_is() -> None:
    assert show_bytes(b"x" * 1_000_000, at_most=5) == "xxxxx… (1000000 bytes)"
    assert show_bytes("ä".encode() * 5, at_most=5) == "äääää"
    assert show_bytes("ä".encode() * 6, at_most=5) == "äääää… (12 bytes)"


@given(st.binary(max_size=100))
def test_a_value_can_be_had_back_from_its_json(content: bytes) -> None:
    # When it is written and read as JSON
    value, encoding = json.loads(orjson.dumps(to_json_value(content)))
    # Then
    match encoding:
        case "json":
            assert json.loads(content) == value
        case "text":
            assert value.encode() == content
        case _:
            assert encoding == "base64"
            assert b64decode(value) == content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"n":1}', ({"n": 1}, "json")),
        (b"null", (None, "json")),
        (None, (None, None)),
        (b"{", ("{", "text")),
        (b"NaN", ("NaN", "text")),
        (b'{"a":1,"a":2}', ('{"a":1,"a":2}', "text")),
        (b"[" * 1000 + b"]" * 1000, ("[" * 1000 + "]" * 1000, "text")),
        (b"\xff", ("/w==", "base64")),
    ],
)
def test_the_encoding_tells_how_a_value_stands_there(content: bytes | None, expected: tuple[object, str]) -> None:
    assert to_json_value(content) == expected


def test_keys_and_headers_are_strings_where_they_can_be() -> None:
    assert to_json_text("Ä".encode()) == "Ä"
    assert to_json_text(b"\xff") == {"base64": "/w=="}
    assert to_json_text(None) is None


def test_a_header_that_comes_twice_has_a_list_of_its_values() -> None:
    headers = [("id", b"1"), ("x", b"a"), ("x", None), ("y", b"\xff")]
    assert to_json_headers(headers) == {"id": "1", "x": ["a", None], "y": {"base64": "/w=="}}


def test_a_hexdump_has_offset_bytes_and_what_is_readable_of_them() -> None:
    assert list(dump_hex(b"\x00abc\xff" + b"x" * 12)) == [
        "00000000  00 61 62 63 ff 78 78 78 78 78 78 78 78 78 78 78  .abc.xxxxxxxxxxx",
        "00000010  78                                               x",
    ]


@given(st.binary(max_size=20))
def test_text_is_what_utf_8_says(content: bytes) -> None:
    assert is_text(content) == ("\N{REPLACEMENT CHARACTER}" not in content.decode("utf-8", "replace")) or (
        "\N{REPLACEMENT CHARACTER}".encode() in content
    )
