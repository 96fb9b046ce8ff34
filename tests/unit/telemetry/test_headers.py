"""Record headers: reading them as Kafka allows them to be, and ids that survive a redelivery."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.headers import check_header_names, derive_id, get_header, is_for_another_group, without

HEADERS: list[tuple[str, bytes | None]] = [("id", b"1"), ("device", b"D\xc3\xa4"), ("id", b"2"), ("empty", b"")]

origins = st.text(st.characters(exclude_characters="\0"))


class TestGetHeader:
    def test_of_several_the_last_counts(self) -> None:
        assert get_header(HEADERS, "id") == "2"

    def test_it_is_text(self) -> None:
        assert get_header(HEADERS, "device") == "Dä"
        assert get_header(HEADERS, "empty") == ""

    def test_there_may_be_none(self) -> None:
        assert get_header(HEADERS, "ID") is None
        assert get_header([], "id") is None
        assert get_header(None, "id") is None

    def test_a_null_value_does_not_hide_an_earlier_one(self) -> None:
        assert get_header([("id", b"1"), ("id", None)], "id") == "1"
        assert get_header([("id", None)], "id") is None

    @given(st.binary())
    def test_any_bytes_become_text(self, value: bytes) -> None:
        assert get_header([("id", value)], "id") == value.decode("utf-8", "replace")


class TestIsForAnotherGroup:
    @pytest.mark.parametrize(
        ("headers", "answer"),
        [
            (None, False),
            ([("id", b"alarm")], False),
            ([("replay.group", b"alarm")], False),
            ([("replay.group", b"storage")], True),
            ([("replay.group", b"alarms")], True),
            ([("replay.group", b"")], True),
            ([("replay.group", None)], False),
        ],
    )
    def test_only_the_group_that_it_names_handles_a_replay(
        self, headers: list[tuple[str, bytes | None]] | None, answer: bool
    ) -> None:
        assert is_for_another_group(headers, "alarm") is answer


class TestWithout:
    def test_it_takes_out_every_header_of_the_names_and_keeps_the_order(self) -> None:
        assert without(HEADERS, ["id", "other"]) == [("device", b"D\xc3\xa4"), ("empty", b"")]

    def test_the_headers_given_are_left_as_they_are(self) -> None:
        before = list(HEADERS)
        without(HEADERS, ["id"]).append(("new", b""))
        assert before == HEADERS

    def test_no_headers_are_an_empty_list(self) -> None:
        assert without(None, ["id"]) == []
        assert without((), []) == []


class TestCheckHeaderNames:
    def test_any_text_is_a_name(self) -> None:
        check_header_names([("id", b"1"), ("__connect.errors.topic", None), ("ä \U0001f321", "x"), ("", b"")])

    @pytest.mark.parametrize("name", [5, b"id", None])
    def test_anything_else_is_none(self, name: object) -> None:
        with pytest.raises(TypeError, match="a header's name is a string, not"):
            check_header_names([("id", b"1"), (name, b"2")])  # type: ignore[list-item]

    def test_nor_is_a_null_character_at_which_the_client_would_cut_it_off(self) -> None:
        with pytest.raises(ValueError, match=r"no null character: 'a\\x00b'"):
            check_header_names([("id", b"1"), ("a\0b", b"2")])

    def test_nor_is_a_lone_surrogate_on_which_the_client_would_crash(self) -> None:
        with pytest.raises(UnicodeEncodeError):
            check_header_names([("a\ud800", b"1")])


class TestDeriveId:
    def test_it_is_the_first_128_bits_of_sha256_over_origin_and_payload(self) -> None:
        assert derive_id("telemetry/DEV-01", b"{}") == hashlib.sha256(b"telemetry/DEV-01\0{}").hexdigest()[:32]

    @given(origins, st.binary())
    def test_a_redelivery_has_the_same_id(self, origin: str, payload: bytes) -> None:
        assert derive_id(origin, payload) == derive_id(origin, bytes(payload))
        assert re.fullmatch("[0-9a-f]{32}", derive_id(origin, payload))

    @given(origins, st.binary(), origins, st.binary())
    def test_another_origin_or_payload_has_another(
        self, origin: str, payload: bytes, other: str, bytes_: bytes
    ) -> None:
        assert (derive_id(origin, payload) == derive_id(other, bytes_)) is ((origin, payload) == (other, bytes_))

    @given(origins, st.binary(max_size=8), st.integers(0, 8))
    def test_where_the_origin_ends_matters(self, origin: str, payload: bytes, cut: int) -> None:
        text = "telemetry/" + origin
        moved = derive_id(text[:-1] if cut else text + "x", text[-1:].encode("utf-8", "replace") + payload)
        assert moved != derive_id(text, payload)
