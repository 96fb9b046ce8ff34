"""The operator's look into a real Kafka, and the groups that it looks at."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition

from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry.dead_letters import Cause, build_dead_letter
from telemetry_operator.kafka.client import Described, Kafka
from telemetry_operator.kafka.facts import KafkaFacts, Reading
from telemetry_operator.kafka.settings import KafkaSettings, load_kafka_settings
from telemetry_operator.kafka.survey import Survey
from telemetry_operator.kafka.tail import Tail


def settings_of(kafka: KafkaBroker) -> KafkaSettings:
    return load_kafka_settings({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers})


class Looking:
    """A survey and its parts; ``clock`` is the monotonic time that lags are noted at."""

    def __init__(self, kafka: KafkaBroker, *, patience: float = 8.0, **tail: Any) -> None:
        settings = settings_of(kafka)
        self.kafka = Kafka(settings, patience=patience)
        self.tail = Tail(settings, **tail)
        self.clock = 0.0
        self.survey = Survey(self.kafka, self.tail, now=lambda: datetime.now(UTC), clock=lambda: self.clock)

    def look(self, reading: Reading) -> KafkaFacts:
        """Return the facts of one reading; a problem in their place fails the test."""
        answer = self.survey.run([reading])[reading]
        assert isinstance(answer, KafkaFacts), answer
        return answer

    def wait_for_coordinator(self, group: str) -> None:
        """A Kafka whose first group this is, is nobody's coordinator for a moment."""

        def answers() -> bool:
            return isinstance(self.kafka.describe_groups([group])[group], Described)

        wait_until(answers, what=f"the coordinator of {group}")


def read(group: str, *topics: str, **more: Any) -> Reading:
    return Reading(group=group, topics=frozenset(topics), **more)


def commit(kafka: KafkaBroker, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Commit offsets for a group without members."""
    places = [TopicPartition(*place, offset) for place, offset in offsets.items()]

    def done() -> bool:
        asked = [ConsumerGroupTopicPartitions(group, places)]
        try:
            answer = kafka.admin.alter_consumer_group_offsets(asked, request_timeout=30)[group].result()
        except KafkaException:
            return False
        return all(place.error is None for place in answer.topic_partitions)

    wait_until(done, what=f"offsets of {group}")


@contextmanager
def member(
    kafka: KafkaBroker, group: str, *topics: str, protocol: str = "classic", name: str = "pod-1", assigned: bool = True
) -> Iterator[None]:
    """A member of a group that polls and handles nothing; with ``assigned``, once it has partitions."""
    classic = {"session.timeout.ms": 6000, "partition.assignment.strategy": "cooperative-sticky"}
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": group,
            "client.id": name,
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        | (classic if protocol == "classic" else {})
    )
    consumer.subscribe(list(topics))
    leaving, has_partitions = threading.Event(), threading.Event()

    def poll() -> None:
        while not leaving.is_set():
            consumer.poll(0.1)
            if consumer.assignment():
                has_partitions.set()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        if assigned:
            assert has_partitions.wait(60), f"{name} got no partitions"
        yield
    finally:
        leaving.set()
        thread.join(30)
        consumer.close()


def send_letters(
    kafka: KafkaBroker, topic: str, group: str, number: int, *, reason: str = "bad_ts", size: int = 100, **more: Any
) -> None:
    """Produce dead letters of a group as its workers would."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "message.max.bytes": 12_000_000, "linger.ms": 20}
    )
    cause = Cause(reason, "ts: is no time", "validate", "telemetry.InvalidTelemetry")
    input_headers = [("id", b"0123456789abcdef"), ("source", b"mqtt"), ("received_at", b"2026-02-20T22:45:00Z")]
    for offset in range(number):
        letter = build_dead_letter(
            b"x" * size,
            input_headers,
            cause,
            consumer=group,
            at=datetime.now(UTC),
            topic="raw",
            partition=0,
            offset=offset,
        )
        while True:
            try:
                producer.produce(topic, letter.value, headers=list[Any](letter.headers), **more)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def committed_of(kafka: KafkaBroker, group: str) -> dict[tuple[str, int], int]:
    """Return the offsets that a group has committed."""
    asked = [ConsumerGroupTopicPartitions(group)]
    answer = kafka.admin.list_consumer_group_offsets(asked, request_timeout=30)[group].result()
    return {(place.topic, place.partition): place.offset for place in answer.topic_partitions if place.offset >= 0}
