"""Which device a message says it is of: one answer for both ways in, and none of what can't be told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.claims import find_claimed_device
from ingestion.http_record import build_envelope, build_http_record
from ingestion.record import MqttRecords, PropertyBounds, at
from telemetry.codec import decode_json
from telemetry.schema.v1 import find_device_problem

NOW = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
DEVICES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("x" * 129) | st.lists(st.just("a"))
MEMBERS = st.lists(st.tuples(st.sampled_from(["device", "devic", "a", "d\u00e9"]), DEVICES), max_size=4)


@given(members=MEMBERS, ascii_only=st.booleans(), inner=MEMBERS)
def test_the_claim_is_what_the_whole_message_means(
    members: list[tuple[str, Any]], inner: Any, *, ascii_only: bool
) -> None:
    """Given an object in which names may come twice and be nested, then its own last 'device' is found."""

    def write(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    nested = "{" + ", ".join(f"{write(name)}: {write(value)}" for name, value in inner) + "}"
    pairs = [f'"metrics": {nested}', *(f"{write(name)}: {write(value)}" for name, value in members)]
    for order in (pairs, pairs[::-1]):
        text = ("{" + ", ".join(order) + "}").encode()
        device = decode_json(text).get("device")
        assert find_claimed_device(text) == (device if find_device_problem(device) is None else None)


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"\xff", b"{", b"temperature=20", b"[1]", b'"DEV-01"', b"{}", b'{"device":null}', b'{"device":7}'),
        *(b'{"device":""}', b'{"device":"a\\nb"}', b'{"device":"\\ud800"}', b'{"device":"\xff"}', b'{"device":7,'),
        b'{"device":"' + b"d" * 129 + b'"}',
        b'{"device":' * 10_000,
        b'{"a": ' + b"[" * 100_000,
    ],
    ids=lambda payload: ascii(payload[:20]),
)
def test_where_nobody_tells_there_is_none(payload: bytes) -> None:
    assert find_claimed_device(payload) is None


def test_an_escaped_name_is_the_same_name() -> None:
    assert find_claimed_device(b'{"\\u0064evice": "D"}') == "D"


@given(payload=st.binary(max_size=60) | st.text('{}[]",:device1 \\', max_size=60).map(str.encode))
def test_both_ways_in_give_the_same_bytes_the_same_key(payload: bytes) -> None:
    """Given any bytes, JSON or not, then none crash it, and MQTT and HTTP agree whose they are."""
    found = find_claimed_device(payload)
    assert found is None or find_device_problem(found) is None
    over_mqtt = MqttRecords([], PropertyBounds(0, 0)).build(b"t", payload, received_at=at(NOW))
    envelope = build_envelope(
        key=None,
        device=None,
        idempotency_key=None,
        is_batch=False,
        content_type="application/json",
        traceparent=None,
        received_at=NOW,
    )
    assert over_mqtt.key == build_http_record(envelope, 0, payload).key == found
