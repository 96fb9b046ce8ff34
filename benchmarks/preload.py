"""Topics that are full before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from confluent_kafka import Producer

from benchmarks.child import BenchmarkFailed
from benchmarks.kafka import Kafka
from benchmarks.messages import Sent

_POLL_EVERY = 500
_FLUSH_SECONDS = 120.0


def fill_topic(kafka: Kafka, topic: str, pool: Sequence[Sent], messages: int, *, headers: bool = True) -> None:
    """Make ``topic`` with ``messages`` raw records; one that has them already, from an earlier benchmark, is kept.

    Without ``headers`` the records have only value and key.
    """
    kafka.make_topics(topic)
    there = kafka.count_messages([topic])[topic]
    if there == messages:
        return
    if there:
        raise BenchmarkFailed(f"the topic {topic} has {there} messages, not {messages}; delete it")
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "acks": "all",
            "linger.ms": 20,
            "compression.type": "lz4",  # as ingestion's producer has it
        }
    )
    records = [(sent.record.value, sent.record.key, sent.record.headers if headers else []) for sent in pool]
    for number, (value, key, pairs) in enumerate(islice(cycle(records), messages)):
        while True:
            try:
                producer.produce(topic, value, key, headers=pairs)  # type: ignore[arg-type]  # a list is invariant
                break
            except BufferError:
                producer.poll(0.1)
        if number % _POLL_EVERY == 0:
            producer.poll(0)
    left = producer.flush(_FLUSH_SECONDS)
    if left or kafka.count_messages([topic])[topic] != messages:
        raise BenchmarkFailed(f"the topic {topic} could not be filled, {left} messages are left")
