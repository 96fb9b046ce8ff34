"""PUBLISH packets as brokers write them, and every way in which one can be broken."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingestion.protocol import MQTT_3_1_1, MQTT_5
from ingestion.publish_packets import MalformedPacket, Publish, decode_publish, encode_puback, read_length


def text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return struct.pack("!H", len(encoded)) + encoded


def length(value: int) -> bytes:
    found = bytearray()
    while True:
        value, byte = divmod(value, 128)
        found.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(found)


def decode(body: bytes, *, first: int = 0x32, version: int = MQTT_5) -> Publish:
    """Decode a packet that lies somewhere within what was read."""
    return decode_publish(first, b"\xaa" + body + b"\xbb", 1, 1 + len(body), version)


BODY = text("a/b") + b"\x01\x02"


def test_a_message_without_properties() -> None:
    assert decode(BODY + b"\0payload") == Publish(b"a/b", b"payload", 1, 0x0102)


def test_a_retained_one_sent_again_is_still_a_message() -> None:
    assert decode(BODY + b"\0", first=0x3B) == Publish(b"a/b", b"", 1, 0x0102, retained=True)


def test_qos_0_has_no_packet_id() -> None:
    assert decode(text("a/b") + b"\0\x01\x02", first=0x30) == Publish(b"a/b", b"\x01\x02", 0)


def test_3_1_1_has_no_properties() -> None:
    assert decode(BODY + b"\0\x26", version=MQTT_3_1_1) == Publish(b"a/b", b"\0\x26", 1, 0x0102)
    assert decode(text("a") + b"x", first=0x31, version=MQTT_3_1_1) == Publish(b"a", b"x", 0, retained=True)


def test_every_property_of_a_publish_is_read_or_passed_over() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 4_000_000_000
    properties.ContentType = "text/\ufeffplain"
    properties.ResponseTopic = "answer"
    properties.CorrelationData = b"\x26\0"
    properties.SubscriptionIdentifier = 200_000
    properties.UserProperty = [("id", "m-1"), ("", ""), ("\ufeffa", "x" * 300)]
    found = decode(BODY + properties.pack() + b"payload")
    assert (found.payload, found.content_type) == (b"payload", "text/\ufeffplain")
    assert found.user_properties == [("id", "m-1"), ("", ""), ("\ufeffa", "x" * 300)]


def test_a_string_that_is_no_utf_8_is_no_reason_to_stop() -> None:
    properties = b"\x26" + struct.pack("!H", 1) + b"\xff" + text("v")
    assert decode(BODY + length(len(properties)) + properties).user_properties == [("\ufffd", "v")]


@pytest.mark.parametrize(
    ("body", "first", "version"),
    [
        (b"", 0x32, MQTT_5),
        (b"\0\x05a", 0x32, MQTT_5),
        (text("a") + b"\x01", 0x32, MQTT_5),
        (BODY, 0x32, MQTT_5),
        (BODY + b"\x05\x01", 0x32, MQTT_5),
        (BODY + b"\x80\x80\x80\x80\x01", 0x32, MQTT_5),
        (BODY + b"\x02\x7f\x01", 0x32, MQTT_5),
        (BODY + b"\x03\x26\0\x09", 0x32, MQTT_5),
        (BODY + b"\x02\x02\0", 0x32, MQTT_5),
        (BODY + b"\x01\x0b", 0x32, MQTT_5),
        (BODY + b"\0", 0x34, MQTT_5),
        (BODY + b"\0", 0x36, MQTT_3_1_1),
        (b"\0\x05a", 0x30, MQTT_3_1_1),
    ],
    ids=[
        *("nothing", "topic-cut", "mid-cut", "no-properties", "properties-cut", "length-of-five-bytes"),
        *("unknown-property", "string-cut", "number-cut", "varint-cut", "qos-2", "qos-3", "topic-cut-3.1.1"),
    ],
)
def test_what_is_broken_is_malformed(body: bytes, first: int, version: int) -> None:
    with pytest.raises(MalformedPacket):
        decode(body, first=first, version=version)


@given(st.binary(max_size=60), st.sampled_from([0x30, 0x32, 0x3B]), st.sampled_from([MQTT_5, MQTT_3_1_1]))
def test_any_bytes_are_a_message_or_malformed(body: bytes, first: int, version: int) -> None:
    try:
        found = decode(body, first=first, version=version)
    except MalformedPacket:
        return
    assert body.endswith(found.payload)


@given(st.integers(0, 268_435_455), st.binary(max_size=3))
def test_a_length_is_read_as_it_is_written(value: int, behind: bytes) -> None:
    data = b"\xff" + length(value) + behind
    assert read_length(data, 1, len(data)) == (value, len(data) - len(behind))


def test_a_puback_says_taken() -> None:
    assert encode_puback(0xABCD) == b"\x40\x02\xab\xcd"
