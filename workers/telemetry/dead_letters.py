"""What a dead letter looks like: the input's bytes untouched, its headers, and why it is here.

Pure: whoever writes dead letters (a consumer, ingestion) builds them here and sends them itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from telemetry import headers as h
from telemetry.headers import Headers
from telemetry.timestamps import format_utc

Stage = Literal["ingest", "decode", "validate", "handle"]
"""The step at which a message failed."""

DLQ_MAX_MESSAGE_BYTES = 11 * 1024 * 1024
"""``max.message.bytes`` of the dead-letter topic."""
_OVERHEAD_BYTES = 64 * 1024
_TRUNCATED_TO = 1024
_MESSAGE_CHARACTERS = 1000

OWN_HEADERS = frozenset(
    {
        h.ERROR_TOPIC,
        h.ERROR_PARTITION,
        h.ERROR_OFFSET,
        h.ERROR_CLASS,
        h.ERROR_MESSAGE,
        h.ERROR_STAGE,
        h.DLQ_REASON,
        h.DLQ_CONSUMER,
        h.DLQ_ATTEMPTS,
        h.DLQ_AT,
        h.DLQ_TRUNCATED,
        h.DLQ_SIZE,
        h.DLQ_SHA256,
    }
)
"""What a dead letter has beside the headers of its input."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a message is dead: a stable code, a sentence, the step, the error's class, and how often it was tried."""

    reason: str
    message: str
    stage: Stage
    error_class: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record for the dead-letter topic; the key is the input's and so not repeated here."""

    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def build_dead_letter(
    value: bytes | None,
    headers: Headers | None,
    cause: Cause,
    *,
    consumer: str,
    at: datetime,
    topic: str | None = None,
    partition: int | None = None,
    offset: int | None = None,
    max_bytes: int = DLQ_MAX_MESSAGE_BYTES,
) -> DeadLetter:
    """Return the dead letter of an input.

    ``topic``, ``partition`` and ``offset`` say where the input lies in Kafka; at ingestion it lies nowhere yet. A
    value that the dead-letter topic can't take (``max_bytes``, less room for headers) keeps its first kilobyte,
    with ``dlq.truncated=true``, its full size and its SHA-256. Marks of an earlier death are replaced.
    """
    marks: list[tuple[str, str]] = []
    if topic is not None:
        marks += [(h.ERROR_TOPIC, topic), (h.ERROR_PARTITION, str(partition)), (h.ERROR_OFFSET, str(offset))]
    marks += [
        (h.ERROR_CLASS, cause.error_class),
        (h.ERROR_MESSAGE, cause.message[:_MESSAGE_CHARACTERS]),
        (h.ERROR_STAGE, cause.stage),
        (h.DLQ_REASON, cause.reason),
        (h.DLQ_CONSUMER, consumer),
        (h.DLQ_ATTEMPTS, str(cause.attempts)),
        (h.DLQ_AT, format_utc(at)),
    ]
    if value is not None and len(value) > max_bytes - _OVERHEAD_BYTES:
        marks += [
            (h.DLQ_TRUNCATED, "true"),
            (h.DLQ_SIZE, str(len(value))),
            (h.DLQ_SHA256, hashlib.sha256(value).hexdigest()),
        ]
        value = value[:_TRUNCATED_TO]
    kept = h.without(headers, OWN_HEADERS)
    return DeadLetter(value, kept + [(name, text.encode("utf-8", "replace")) for name, text in marks])
