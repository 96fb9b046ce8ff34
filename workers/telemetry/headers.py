"""Names of the record headers, and the helpers to read and write them.

A header's value is bytes on the wire; ours are UTF-8 text. The ``__connect.errors.*`` names are those that Kafka
Connect's dead-letter queue uses (KIP-298), so that its tools can read ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[str, bytes | None]]
"""A record's headers, in order; a name may come more than once, as Kafka allows."""

ID = "id"
SOURCE = "source"
RECEIVED_AT = "received_at"
MQTT_TOPIC = "mqtt_topic"
CONTENT_TYPE = "content_type"
DEVICE = "device"
TRACEPARENT = "traceparent"

RAW_TOPIC = "raw_topic"
RAW_PARTITION = "raw_partition"
RAW_OFFSET = "raw_offset"

ERROR_TOPIC = "__connect.errors.topic"
ERROR_PARTITION = "__connect.errors.partition"
ERROR_OFFSET = "__connect.errors.offset"
ERROR_CLASS = "__connect.errors.exception.class.name"
ERROR_MESSAGE = "__connect.errors.exception.message"
ERROR_STAGE = "__connect.errors.stage"

DLQ_REASON = "dlq.reason"
DLQ_CONSUMER = "dlq.consumer"
DLQ_ATTEMPTS = "dlq.attempts"
DLQ_AT = "dlq.at"
DLQ_TRUNCATED = "dlq.truncated"
DLQ_SIZE = "dlq.size"
DLQ_SHA256 = "dlq.sha256"

REPLAY_GROUP = "replay.group"
"""The only consumer group that is to handle a replayed message; every other one skips it."""
REPLAY_ATTEMPT = "replay.attempt"
"""How often a message was replayed, 1 the first time; it stays with one that dies again, so that no loop is endless."""
REPLAY_OF = "replay.of"
"""Which dead letter was replayed: ``PARTITION:OFFSET`` in the dead-letter topic."""
REPLAY_HEADERS = frozenset({REPLAY_GROUP, REPLAY_ATTEMPT, REPLAY_OF})
"""They are about one message in one topic: what a handler makes of it does not carry them on."""

_ID_BYTES = 16


def get_header(headers: Headers | None, name: str) -> str | None:
    """Return the last value of ``name`` as text (undecodable bytes replaced), or None where there is none."""
    for key, value in reversed(headers or ()):
        if key == name and value is not None:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value.decode("utf-8", "replace")
    return None


def is_for_another_group(headers: Headers | None, group: str) -> bool:
    """Return whether a message is a replay that another consumer group than ``group`` is to handle."""
    only = get_header(headers, REPLAY_GROUP)
    return only is not None and only != group


def without(headers: Headers | None, names: Iterable[str]) -> list[tuple[str, bytes | None]]:
    """Return the headers whose name is not in ``names``."""
    left_out = frozenset(names)
    return [header for header in headers or () if header[0] not in left_out]


def check_header_names(headers: Iterable[tuple[str, object]]) -> None:
    """Raise TypeError, ValueError or UnicodeEncodeError for a name that Kafka can't take.

    librdkafka's client would crash on it, or cut it off where it holds a null character.
    """
    for name, _ in headers:
        if not isinstance(name, str):
            raise TypeError(f"a header's name is a string, not {type(name).__name__}")
        if "\0" in name:
            raise ValueError(f"a header's name holds no null character: {name[:64]!r}")
        if not name.isascii():
            name.encode()


def derive_id(origin: str, payload: bytes) -> str:
    """Return the id of a message that brings none: 128 bits of SHA-256 over where it came from and its bytes, in hex.

    A redelivery has the same id; so have two equal payloads of one origin (an MQTT topic or a device).
    """
    digest = hashlib.sha256(origin.encode("utf-8", "surrogatepass"))
    digest.update(b"\0")
    digest.update(payload)
    return digest.digest()[:_ID_BYTES].hex()
