"""`KafkaProducer` on a real Kafka."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from confluent_kafka import Message

from integration_helpers import headers_of, read_topic
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from telemetry.errors import ConfigurationError, DeliveryError, QueueFull

READING = {
    "schema_version": 1,
    "device": "DEV-01",
    "metrics": {"humidity": 20, "temperature": 20},
    "ts": "2026-02-20 22:45",
}


def test_the_interface_works_as_documented(
    kafka: KafkaBroker, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = unique("raw")
    kafka.create_topics([topic])
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)

    producer = KafkaProducer(config=ProducerConfig(), topic=topic)
    producer.produce(READING, key="DEV-01", headers=[("id", "a1")])
    assert producer.flush() == 0

    (message,) = read_topic(kafka, topic)
    assert message.key() == b"DEV-01"
    assert (
        message.value()
        == b'{"schema_version":1,"device":"DEV-01","metrics":{"humidity":20,"temperature":20},"ts":"2026-02-20 22:45"}'
    )
    assert headers_of(message) == {"id": "a1"}


def test_the_caller_hears_of_each_message_once(kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    topic = unique("raw")
    kafka.create_topics([topic], config={"max.message.bytes": "2000"})
    reports: list[tuple[str | None, bytes | None]] = []

    def note(error: DeliveryError | None, message: Message) -> None:
        reports.append((error.code if error else None, message.key()))

    with KafkaProducer(ProducerConfig(bootstrap_servers=kafka.bootstrap_servers, linger_ms=0), topic) as producer:
        producer.produce(b"small", key="a", on_delivery=note)
        producer.flush()
        producer.produce(os.urandom(5000), key="b", on_delivery=note)

    assert reports == [(None, b"a"), ("MSG_SIZE_TOO_LARGE", b"b")]


@pytest.mark.parametrize("policy", ["wait", "raise"])
def test_a_full_queue_raises(policy: str) -> None:
    config = ProducerConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", queue_max_messages=3)
    producer = KafkaProducer(config, "t")
    for _ in range(3):
        producer.produce(b"x")
    with pytest.raises(QueueFull, match=r"queue is full.* it holds 3 messages \(KAFKA_QUEUE_MAX_MESSAGES\)"):
        producer.produce(b"x", on_full=policy)  # type: ignore[arg-type]
    producer.purge()


def test_a_full_queue_drops_where_the_caller_chose_so() -> None:
    config = ProducerConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", queue_max_messages=1)
    producer = KafkaProducer(config, "t")
    assert producer.produce(b"x", on_full="drop") is True
    assert producer.produce(b"x", on_full="drop") is False
    assert producer.flush(0.1) >= 1
    producer.purge()


def test_a_misspelt_property_fails_at_start_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"KAFKA_PROPERTIES.*\"lingr\.ms\""):
        KafkaProducer(ProducerConfig(properties={"lingr.ms": 5}), "t")
