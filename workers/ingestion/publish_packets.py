"""PUBLISH and PUBACK on the wire (MQTT 5 §3.3, §3.4; MQTT 3.1.1 §3.3, §3.4). Pure.

Strings are decoded as a receiver is to (§1.5.4): what is no UTF-8 is replaced, U+FEFF is kept. The broker has checked
every one of them and acknowledged the message, so here none is a reason to stop: it would come again for ever, and
nothing behind it would come in.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.protocol import MQTT_5

PUBLISH = 0x30
"""Type of a PUBLISH packet, in the high half of its first byte."""
TYPE_BITS, DUP_BIT, QOS_BITS, RETAIN_BIT = 0xF0, 0x08, 0x06, 0x01

_PAYLOAD_FORMAT, _EXPIRY, _CONTENT_TYPE, _RESPONSE_TOPIC = 0x01, 0x02, 0x03, 0x08
_CORRELATION, _SUBSCRIPTION, _TOPIC_ALIAS, _USER_PROPERTY = 0x09, 0x0B, 0x23, 0x26
_FIXED_BYTES = {_PAYLOAD_FORMAT: 1, _EXPIRY: 4, _TOPIC_ALIAS: 2}
_MOST_LENGTH_BYTES = 4
_MOST_QOS = 1
"""Of every subscription of ours, and so of what comes for it [MQTT 5 §3.8.4]."""

_puback = struct.Struct("!BBH").pack
_mid = struct.Struct("!H").unpack_from


class MalformedPacket(ValueError):
    """What came is no packet of the protocol; the connection can't be read any further."""


@dataclass(slots=True)
class Publish:
    """A message as the broker hands it on. ``mid`` is its packet id, 0 at QoS 0."""

    topic: bytes
    payload: bytes
    qos: int
    mid: int = 0
    retained: bool = False
    """Whether it was kept by the broker from before the subscription."""
    content_type: str | None = None
    user_properties: Sequence[tuple[str, str]] = ()


def decode_publish(first: int, data: bytes, start: int, end: int, version: int) -> Publish:
    """Return the message of a PUBLISH packet: its first byte, and the rest behind its length from ``start`` to ``end``.

    Raises MalformedPacket.
    """
    topic_at = start + 2
    place = topic_at + int.from_bytes(data[start:topic_at], "big")
    topic = data[topic_at:place]
    qos = (first & QOS_BITS) >> 1
    mid = 0
    if qos:
        if qos > _MOST_QOS:
            raise MalformedPacket(f"a PUBLISH of QoS {qos} for a subscription of QoS {_MOST_QOS}")
        if place + 2 > end:
            raise MalformedPacket("a PUBLISH ends within its packet id")
        (mid,) = _mid(data, place)
        place += 2
    if version != MQTT_5:
        if place > end:
            raise MalformedPacket("a PUBLISH ends within its topic")
        return Publish(topic, data[place:end], qos, mid, bool(first & RETAIN_BIT))
    if place >= end:
        raise MalformedPacket("a PUBLISH ends before its properties")
    length = data[place]
    place += 1
    if not length:
        return Publish(topic, data[place:end], qos, mid, bool(first & RETAIN_BIT))
    if length & 0x80:
        length, place = read_length(data, place - 1, end)
    behind = place + length
    if behind > end:
        raise MalformedPacket("a PUBLISH ends within its properties")
    content_type, user_properties = _read_properties(data, place, behind)
    return Publish(topic, data[behind:end], qos, mid, bool(first & RETAIN_BIT), content_type, user_properties)


def encode_puback(mid: int) -> bytes:
    """Return the PUBACK that says: taken (in MQTT 5, reason code 0, which may be left out)."""
    return _puback(0x40, 2, mid)


def read_length(data: bytes, place: int, end: int) -> tuple[int, int]:
    """Return a variable byte integer (§1.5.5) and the place behind it. Raises MalformedPacket."""
    value = shift = 0
    for at in range(place, min(place + _MOST_LENGTH_BYTES, end)):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at + 1
        shift += 7
    raise MalformedPacket("a length has more bytes than there are, or than four")


def _read_properties(data: bytes, place: int, end: int) -> tuple[str | None, list[tuple[str, str]]]:
    content_type: str | None = None
    user_properties: list[tuple[str, str]] = []
    while place < end:
        identifier = data[place]
        place += 1
        if identifier == _USER_PROPERTY:
            name, place = _read_string(data, place, end)
            value, place = _read_string(data, place, end)
            user_properties.append((name, value))
        elif identifier == _CONTENT_TYPE:
            content_type, place = _read_string(data, place, end)
        elif identifier in {_RESPONSE_TOPIC, _CORRELATION}:
            _, place = _read_string(data, place, end)
        elif identifier in _FIXED_BYTES:
            place += _FIXED_BYTES[identifier]
        elif identifier == _SUBSCRIPTION:
            _, place = read_length(data, place, end)
        else:
            raise MalformedPacket(f"a PUBLISH has no property {identifier:#x}")
    if place > end:
        raise MalformedPacket("a property ends behind its packet's properties")
    return content_type, user_properties


def _read_string(data: bytes, place: int, end: int) -> tuple[str, int]:
    begin = place + 2
    behind = begin + int.from_bytes(data[place:begin], "big")
    if begin > end or behind > end:
        raise MalformedPacket("a string ends behind its packet's properties")
    return data[begin:behind].decode("utf-8", "replace"), behind
