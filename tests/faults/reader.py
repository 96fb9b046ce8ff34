"""Reads the raw topic from its beginning, until what was acknowledged is there or the patience is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from faults.ledger import Arrival
from faults.messages import find_number
from telemetry.headers import ID, get_header

if TYPE_CHECKING:
    from collections.abc import Collection

    from confluent_kafka import Message

__all__ = ["count_records", "read_arrivals"]


def read_arrivals(bootstrap_servers: str, topic: str, wanted: Collection[int], *, patience: float) -> list[Arrival]:
    """Return every record of ``topic``.

    Waits for the messages with the numbers ``wanted``, as long as more of them keep coming within ``patience`` seconds,
    and reads on to the topic's end of that moment. A new client each time: what it finds is what Kafka has on its disk,
    not what some client has once seen.
    """
    client = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "account",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 2_000_000,
        }
    )
    missing = set(wanted)
    arrivals: list[Arrival] = []
    try:
        places = [
            TopicPartition(topic, number, 0)
            for number in client.list_topics(topic, timeout=30).topics[topic].partitions
        ]
        client.assign(places)
        deadline = time.monotonic() + patience
        while missing and time.monotonic() < deadline:
            before = len(missing)
            for arrival in _consume(client):
                arrivals.append(arrival)
                missing.discard(-1 if (number := find_number(arrival.value)) is None else number)
            if len(missing) < before:
                deadline = time.monotonic() + patience
        left = sum(client.get_watermark_offsets(place, timeout=30)[1] for place in places) - len(arrivals)
        deadline = time.monotonic() + 60
        while left > 0:
            rest = _consume(client)
            arrivals += rest
            left -= len(rest)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} records of {topic} can't be read")
    finally:
        client.close()
    return arrivals


def count_records(bootstrap_servers: str, topic: str) -> int:
    """Return how many records ``topic`` has got so far; 0 where a Kafka that has just come back can't tell yet."""
    client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "counts"})
    try:
        numbers = client.list_topics(topic, timeout=10).topics[topic].partitions
        return sum(client.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1] for number in numbers)
    except KafkaException:
        return 0
    finally:
        client.close()


def _consume(client: Consumer) -> list[Arrival]:
    return [_read(message) for message in client.consume(5000, 0.2) if message.error() is None]


def _read(message: Message) -> Arrival:
    key = message.key()
    return Arrival(
        message.partition() or 0,
        message.offset() or 0,
        key.decode() if isinstance(key, bytes) else key,
        message.value() or b"",
        get_header(message.headers(), ID),  # type: ignore[arg-type]
    )
