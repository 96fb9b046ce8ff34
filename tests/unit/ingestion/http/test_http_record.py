"""From a message of a body to its record: whose it is, its id, its headers; the bytes stay as they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.api_keys import ApiKey
from ingestion.http_record import Envelope, NotAllowed, build_envelope, build_http_record
from telemetry.headers import derive_id

MOMENT = datetime(2026, 2, 20, 22, 45, 1, 500_000, tzinfo=UTC)
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
READING = b'{"device": "DEV-01", "x": 1}'


def envelope(**given: Any) -> Envelope:
    usual: dict[str, Any] = {
        "key": None,
        "device": None,
        "idempotency_key": None,
        "is_batch": False,
        "content_type": "application/json",
        "traceparent": None,
        "received_at": MOMENT,
    }
    return build_envelope(**(usual | given))


def key(*devices: str) -> ApiKey:
    return ApiKey(name="k", sha256="0" * 64, devices=frozenset(devices) or None)


def test_a_message_by_itself() -> None:
    built = build_http_record(envelope(), 0, READING)
    assert (built.key, built.value) == ("DEV-01", READING)
    assert built.headers == [
        ("id", derive_id("DEV-01", READING).encode()),
        ("source", b"http"),
        ("received_at", b"2026-02-20T22:45:01.500000Z"),
        ("content_type", b"application/json"),
    ]


@pytest.mark.parametrize("value", [b"", b"\xff", b"{", b"[1]", b'"DEV-01"', b'{"device": 7}', b'{"device": ""}'])
def test_who_can_not_be_told_has_no_key(value: bytes) -> None:
    built = build_http_record(envelope(), 0, value)
    assert (built.key, built.value) == (None, value)
    assert dict(built.headers)["id"] == derive_id("", value).encode()


def test_the_device_of_the_path_counts_and_the_claim_is_the_validators_matter() -> None:
    built = build_http_record(envelope(device="DEV-07"), 0, READING)
    assert built.key == "DEV-07"
    assert dict(built.headers)["device"] == b"DEV-07"
    assert dict(built.headers)["id"] == derive_id("DEV-07", READING).encode()


def test_a_key_of_one_device_names_it() -> None:
    built = build_http_record(envelope(key=key("DEV-07")), 0, b"not even JSON")
    assert (built.key, dict(built.headers)["device"]) == ("DEV-07", b"DEV-07")


def test_a_key_of_several_devices_vouches_for_the_claim() -> None:
    built = build_http_record(envelope(key=key("DEV-01", "DEV-02")), 0, READING)
    assert (built.key, dict(built.headers)["device"]) == ("DEV-01", b"DEV-01")


@pytest.mark.parametrize(("value", "advice"), [(b'{"device": "DEV-03"}', "'DEV-03'"), (b"{}", "names none")])
def test_a_key_of_several_devices_sends_for_no_other(value: bytes, advice: str) -> None:
    with pytest.raises(NotAllowed, match=advice):
        build_http_record(envelope(key=key("DEV-01", "DEV-02")), 0, value)


def test_a_key_of_any_device_leaves_the_claim_to_the_validator() -> None:
    built = build_http_record(envelope(key=key()), 0, READING)
    assert built.key == "DEV-01"
    assert "device" not in dict(built.headers)


def test_an_idempotency_key_is_the_id_with_its_place_in_a_batch() -> None:
    def identity(index: int, *, is_batch: bool) -> bytes | None:
        built = build_http_record(envelope(idempotency_key="abc", is_batch=is_batch), index, READING)
        return dict(built.headers)["id"]

    assert identity(0, is_batch=False) == b"abc"
    assert [identity(index, is_batch=True) for index in (0, 41)] == [b"abc#0", b"abc#41"]


@pytest.mark.parametrize(("sent", "passed"), [(TRACE, True), (b"00-x", False), (b"", False), (TRACE + b"\n", False)])
def test_a_traceparent_passes_if_it_is_one(sent: bytes, *, passed: bool) -> None:
    built = build_http_record(envelope(traceparent=sent), 0, READING)
    assert dict(built.headers).get("traceparent") == (sent if passed else None)


def test_messages_of_one_request_do_not_share_their_headers() -> None:
    first, second = (build_http_record(envelope(), index, READING) for index in (0, 1))
    first.headers.append(("more", b""))
    assert "more" not in dict(second.headers)
