"""From what came in to the raw record: key, headers, and the bytes as they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ingestion.claims import find_claimed_device
from ingestion.topic_filters import compile_filter
from telemetry import headers as h
from telemetry.dead_letters import OWN_HEADERS
from telemetry.schema.v1 import find_device_problem
from telemetry.timestamps import format_utc

MQTT_RETAINED = "mqtt_retained"
"""Header of a message that the broker had kept from before the subscription: it is not fresh."""

Header = tuple[str, bytes | None]

_MAX_ID_CHARACTERS = 128
_MOST_TOPICS = 20_000
"""Topics that are remembered; with more of them, all are forgotten now and then."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,64})?")
_SOURCE: Header = (h.SOURCE, b"mqtt")
_RETAINED: Header = (MQTT_RETAINED, b"true")

_OURS = OWN_HEADERS | {
    *(h.ID, h.SOURCE, h.RECEIVED_AT, h.MQTT_TOPIC, h.CONTENT_TYPE, h.DEVICE, h.TRACEPARENT, MQTT_RETAINED),
    *(h.RAW_TOPIC, h.RAW_PARTITION, h.RAW_OFFSET, *h.REPLAY_HEADERS),
}
_OUR_PREFIXES = ("__connect.", "dlq.", "replay.")


@dataclass(slots=True)
class RawRecord:
    """A message on its way into Kafka."""

    key: str | None
    value: bytes
    headers: list[Header]


class DeviceTemplate:
    """Finds the device's id in an MQTT topic: ``telemetry/{device}``, ``+/devices/{device}/#``."""

    def __init__(self, template: str) -> None:
        self._pattern = compile_filter(template, **{"{device}": "(?P<device>[^/]*)"})

    def find(self, topic: str) -> str | None:
        """Return the device that ``topic`` names, or None where it names none or no valid one."""
        match = self._pattern.fullmatch(topic)
        device = match["device"] if match else None
        return device if device is not None and find_device_problem(device) is None else None


@dataclass(frozen=True, slots=True)
class PropertyBounds:
    """How many of a message's user properties become headers, and how many bytes of names and values together."""

    number: int
    size: int


class MqttRecords:
    """Makes the raw records of MQTT messages. The first of ``templates`` that names a device in a topic counts."""

    def __init__(self, templates: Sequence[DeviceTemplate], bounds: PropertyBounds) -> None:
        self._templates = templates
        self._bounds = bounds
        self._origins: dict[bytes, tuple[str, str | None, list[Header]]] = {}

    def build(
        self,
        topic: bytes,
        payload: bytes,
        *,
        received_at: Header,
        user_properties: Sequence[tuple[str, str]] = (),
        content_type: str | None = None,
        retained: bool = False,
    ) -> RawRecord:
        """Return the record of a message; ``received_at`` is the header that `at` makes."""
        origin = self._origins.get(topic)
        if origin is None:
            origin = self._learn(topic)
        name, device, headers = origin
        if user_properties or content_type or retained:
            identity, more = _read_properties(user_properties, content_type, self._bounds, retained=retained)
        else:
            identity, more = None, []
        return _assemble(name, device, payload, identity, [received_at, *headers, *more])

    def _learn(self, topic: bytes) -> tuple[str, str | None, list[Header]]:
        if len(self._origins) >= _MOST_TOPICS:
            self._origins.clear()
        name = topic.decode("utf-8", "replace")
        device = next(filter(None, (template.find(name) for template in self._templates)), None)
        self._origins[topic] = origin = name, device, _origin_headers(name, device)
        return origin


def at(moment: datetime) -> Header:
    """Return the header that says when a message came in."""
    return h.RECEIVED_AT, format_utc(moment).encode()


def build_mqtt_record(
    topic: str,
    payload: bytes,
    *,
    device: str | None,
    user_properties: Sequence[tuple[str, str]],
    content_type: str | None,
    received_at: datetime,
    bounds: PropertyBounds = PropertyBounds(0, 0),  # frozen
) -> RawRecord:
    """Return the raw record of one MQTT message; ``device`` is whom its topic names.

    Only that becomes the header ``device``. The key is the same, or else the device that the payload claims to be of,
    so that its messages stay in order; the validator judges the claim.
    """
    identity, more = _read_properties(user_properties, content_type, bounds, retained=False)
    return _assemble(topic, device, payload, identity, [at(received_at), *_origin_headers(topic, device), *more])


def is_traceparent(text: str) -> bool:
    """Return whether ``text`` has the form of a W3C trace context."""
    return _TRACEPARENT.fullmatch(text) is not None


def is_id(text: str) -> bool:
    """Return whether ``text`` can be a message's id: 1 to 128 characters, all of them printable."""
    return 1 <= len(text) <= _MAX_ID_CHARACTERS and text.isprintable()


def _assemble(topic: str, device: str | None, payload: bytes, identity: str | None, more: list[Header]) -> RawRecord:
    headers: list[Header] = [(h.ID, (identity or h.derive_id(topic, payload)).encode()), _SOURCE, *more]
    return RawRecord(device if device is not None else find_claimed_device(payload), payload, headers)


def _origin_headers(topic: str, device: str | None) -> list[Header]:
    headers: list[Header] = [(h.MQTT_TOPIC, topic.encode("utf-8", "replace"))]
    if device is not None:
        headers.append((h.DEVICE, device.encode("utf-8", "replace")))
    return headers


def _read_properties(
    user_properties: Iterable[tuple[str, str]], content_type: str | None, bounds: PropertyBounds, *, retained: bool
) -> tuple[str | None, list[Header]]:
    """Return the id that the properties name, if any, and the headers that they become.

    Those within ``bounds`` become headers of the same name, the first ones where there are too many; but none that the
    hub writes itself: a device could claim to be another, or have its message skipped by every consumer.
    """
    identity: str | None = None
    trace: list[Header] = []
    others: list[Header] = []
    left = bounds.size
    for name, value in user_properties:
        if name == h.ID:
            identity = value if is_id(value) else identity
        elif name == h.TRACEPARENT:
            trace = [(name, value.encode())] if is_traceparent(value) else trace
        elif len(others) < bounds.number and _may_be_header(name):
            encoded = value.encode("utf-8", "replace")
            left -= len(name.encode()) + len(encoded)
            if left < 0:
                break
            others.append((name, encoded))
    headers = trace + others
    if content_type:
        headers.append((h.CONTENT_TYPE, content_type[:_MAX_ID_CHARACTERS].encode("utf-8", "replace")))
    if retained:
        headers.append(_RETAINED)
    return identity, headers


def _may_be_header(name: str) -> bool:
    if not name or name in _OURS or name.startswith(_OUR_PREFIXES):
        return False
    return "\0" not in name and not any("\ud800" <= character <= "\udfff" for character in name)
