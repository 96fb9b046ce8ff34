"""From a message of an HTTP body to its raw record: key, id, headers, and the bytes as they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingestion.api_keys import ApiKey
from ingestion.claims import find_claimed_device
from ingestion.record import Header, RawRecord, is_traceparent
from telemetry import headers as h
from telemetry.timestamps import format_utc

MAX_ID_CHARACTERS = 128


class NotAllowed(Exception):
    """A message is of a device that its API key is not bound to; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the messages of one request have in common."""

    key: ApiKey | None
    device: str | None
    """The device that path or API key names; its messages can't be of another one."""
    idempotency_key: str | None
    is_batch: bool
    shared: list[Header]
    """Headers that are the same for each."""


def build_envelope(
    *,
    key: ApiKey | None,
    device: str | None,
    idempotency_key: str | None,
    is_batch: bool,
    content_type: str,
    traceparent: bytes | None,
    received_at: datetime,
) -> Envelope:
    """Return what a request says about all of its messages; ``device`` is whom its path names."""
    if device is None and key is not None:
        device = key.only_device
    shared: list[Header] = [
        (h.SOURCE, b"http"),
        (h.RECEIVED_AT, format_utc(received_at).encode()),
        (h.CONTENT_TYPE, content_type.encode()),
    ]
    if device is not None:
        shared.append((h.DEVICE, device.encode("utf-8", "replace")))
    if traceparent is not None and is_traceparent(traceparent.decode("latin-1")):
        shared.append((h.TRACEPARENT, traceparent))
    return Envelope(key, device, idempotency_key, is_batch, shared)


def build_http_record(envelope: Envelope, index: int, value: bytes) -> RawRecord:
    """Return the raw record of a request's message number ``index``.

    The key is the device that the request names, or else the one that the message claims to be of, so that its
    messages stay in order. A key bound to several devices vouches for the claim, which then is the header ``device``
    too; else the validator judges it. Raises NotAllowed.
    """
    device, headers = envelope.device, envelope.shared
    if device is None:
        device = find_claimed_device(value)
        if envelope.key is not None and envelope.key.devices is not None:
            if device is None:
                raise NotAllowed("This API key is bound to devices, and the message names none: give it a 'device'.")
            if not envelope.key.allows(device):
                raise NotAllowed(f"This API key is not bound to the device {device!r}: use the key of that device.")
            headers = [*headers, (h.DEVICE, device.encode("utf-8", "replace"))]
    if envelope.idempotency_key is None:
        message_id = h.derive_id(device or "", value)
    elif envelope.is_batch:
        message_id = f"{envelope.idempotency_key}#{index}"
    else:
        message_id = envelope.idempotency_key
    return RawRecord(device, value, [(h.ID, message_id.encode()), *headers])
