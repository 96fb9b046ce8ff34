"""Records and dead letters for the tests of `iothub.kafka`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from consumers.records import Record
from iothub.kafka.letters import Letter
from telemetry.dead_letters import Cause, Stage, build_dead_letter

AT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)

Header = tuple[str, bytes | None]


def make_record(
    value: bytes | None = b"{}",
    *,
    key: bytes | None = b"DEV-01",
    headers: tuple[Header, ...] = (),
    topic: str = "telemetry.raw",
    partition: int = 0,
    offset: int = 0,
    timestamp: int = AT_MS,
) -> Record:
    return Record(value, key, headers, topic, partition, offset, timestamp)


def make_letter(
    value: bytes | None = b"{}",
    *,
    headers: tuple[Header, ...] = (("id", b"7"), ("device", b"DEV-01")),
    reason: str = "bad_ts",
    message: str = "'ts' is no time",
    stage: Stage = "validate",
    consumer: str = "validators",
    topic: str | None = "telemetry.raw",
    partition: int = 2,
    offset: int = 11,
    timestamp: int = AT_MS,
    **more: Any,
) -> Letter:
    """Return the letter that `build_dead_letter` makes, as Kafka would give it back."""
    cause = Cause(reason, message, stage, "telemetry.errors.InvalidTelemetry", attempts=1)
    built = build_dead_letter(
        value, headers, cause, consumer=consumer, at=AT, topic=topic, partition=5, offset=99, **more
    )
    return Letter(Record(built.value, b"DEV-01", built.headers, "telemetry.dlq", partition, offset, timestamp))
