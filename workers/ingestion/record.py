"""From what came in to the raw record: key, headers, and the bytes as they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ingestion.topic_filters import compile_filter
from telemetry import headers as h
from telemetry.codec import decode_json
from telemetry.errors import InvalidTelemetry
from telemetry.schema.v1 import find_device_problem
from telemetry.timestamps import format_utc

_MAX_ID_CHARACTERS = 128
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,64})?")


@dataclass(slots=True)
class RawRecord:
    """A message on its way into Kafka."""

    key: str | None
    value: bytes
    headers: list[tuple[str, bytes | None]]


class DeviceTemplate:
    """Finds the device's id in an MQTT topic: ``telemetry/{device}``, ``+/devices/{device}/#``."""

    def __init__(self, template: str) -> None:
        self._pattern = compile_filter(template, **{"{device}": "(?P<device>[^/]*)"})

    def find(self, topic: str) -> str | None:
        """Return the device that ``topic`` names, or None where it names none or no valid one."""
        match = self._pattern.fullmatch(topic)
        device = match["device"] if match else None
        return device if device is not None and find_device_problem(device) is None else None


def build_mqtt_record(
    topic: str,
    payload: bytes,
    *,
    device: str | None,
    user_properties: Iterable[tuple[str, str]],
    content_type: str | None,
    received_at: datetime,
) -> RawRecord:
    """Return the raw record of an MQTT message; ``device`` is whom its topic names.

    Only that becomes the header ``device``. The key is the same, or else the device that the payload claims to be of,
    so that its messages stay in order; the validator judges the claim.
    """
    found_id = traceparent = None
    for name, value in user_properties:
        if name == h.ID and 1 <= len(value) <= _MAX_ID_CHARACTERS and value.isprintable():
            found_id = value
        elif name == h.TRACEPARENT and _TRACEPARENT.fullmatch(value):
            traceparent = value
    headers: list[tuple[str, bytes | None]] = [
        (h.ID, (found_id or h.derive_id(topic, payload)).encode()),
        (h.SOURCE, b"mqtt"),
        (h.RECEIVED_AT, format_utc(received_at).encode()),
        (h.MQTT_TOPIC, topic.encode("utf-8", "replace")),
    ]
    if content_type:
        headers.append((h.CONTENT_TYPE, content_type[:_MAX_ID_CHARACTERS].encode("utf-8", "replace")))
    if device is not None:
        headers.append((h.DEVICE, device.encode("utf-8", "replace")))
    if traceparent is not None:
        headers.append((h.TRACEPARENT, traceparent.encode()))
    return RawRecord(device if device is not None else _claimed_device(payload), payload, headers)


def _claimed_device(payload: bytes) -> str | None:
    try:
        document = decode_json(payload)
    except InvalidTelemetry:
        return None
    device = document.get("device") if type(document) is dict else None
    return device if find_device_problem(device) is None else None
