"""Whether a validator did its work: a sample of what it wrote, beside what has to become of the same messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, cast

import orjson
from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks.child import BenchmarkFailed
from benchmarks.kafka import PARTITIONS
from benchmarks.messages import Sent
from benchmarks.programs.pipeline import Pipeline
from telemetry import headers as h
from telemetry.schema import parse_telemetry

_SAMPLE = 20_000
"""Of each topic: every message of the pool comes in it more than once."""
_SECONDS = 5.0


def check_outputs(name: str, pipeline: Pipeline, pool: Sequence[Sent], tolerated: Collection[str]) -> None:
    """Raise BenchmarkFailed for the first record of a sample that is not what the schema makes of its raw one.

    Kinds of damage that are ``tolerated`` may be taken for valid, or be refused for another reason.
    """
    by_id = {dict(sent.record.headers)[h.ID]: sent for sent in pool}
    for topic in (pipeline.clean, pipeline.dlq):
        sample = _read_sample(pipeline.bootstrap_servers, topic)
        if not sample:
            raise BenchmarkFailed(f"{name} wrote nothing into {topic}")
        for message in sample:
            headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
            sent = by_id.get(headers.get(h.ID, b""))
            if sent is None:
                raise BenchmarkFailed(f"{name} did not keep the header {h.ID}")
            if sent.damage is not None and sent.damage.kind in tolerated:
                continue
            problem = (
                _find_clean_problem(message, headers, sent)
                if topic == pipeline.clean
                else _find_dead_problem(message, headers, sent)
            )
            if problem is not None:
                raise BenchmarkFailed(f"{name}, {sent.record.value[:300]!r}: {problem}")


def _find_clean_problem(message: Message, headers: dict[str, bytes], sent: Sent) -> str | None:
    if sent.damage is not None:
        return f"is damaged ({sent.damage.kind}), but was taken"
    if not dict(sent.record.headers).items() <= headers.items():
        return f"its headers were not kept: {headers}"
    if not {h.RAW_TOPIC, h.RAW_PARTITION, h.RAW_OFFSET} <= headers.keys():
        return f"its place in the raw topic is missing: {headers}"
    wanted = parse_telemetry(sent.record.value, sent.record.key)
    if message.key() != wanted.device.encode():
        return f"its key is {message.key()!r}"
    if _read_clean(message.value() or b"") != _read_clean(wanted.encode()):
        return f"its clean value is {message.value()!r}"
    return None


def _find_dead_problem(message: Message, headers: dict[str, bytes], sent: Sent) -> str | None:
    if sent.damage is None:
        return f"is valid, but was refused: {headers}"
    if message.value() != sent.record.value:
        return "its bytes were not kept"
    if not dict(sent.record.headers).items() <= headers.items():
        return f"its headers were not kept: {headers}"
    if headers.get(h.DLQ_REASON) != sent.damage.reason.encode():
        return f"its reason is {headers.get(h.DLQ_REASON)!r}, not {sent.damage.reason}"
    return None


def _read_clean(value: bytes) -> dict[str, Any]:
    """Return a clean value with its time as a moment: 12.5 and 12.500000 seconds are the same."""
    document = orjson.loads(value)
    return {**document, "ts": datetime.fromisoformat(document["ts"])}


def _read_sample(bootstrap_servers: str, topic: str) -> list[Message]:
    client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "bench-sample", "enable.auto.commit": False})
    try:
        client.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        return [message for message in client.consume(_SAMPLE, _SECONDS) if message.error() is None]
    finally:
        client.close()
