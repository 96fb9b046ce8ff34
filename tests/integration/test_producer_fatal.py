"""A producer that can't go on says so to its caller and to a probe, and never looks as if it still sent."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException

from integration_helpers import read_topic
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry.errors import DeliveryError, FatalKafkaError
from telemetry.health import HealthServer


@pytest.fixture
def topic(kafka: KafkaBroker, unique: Callable[[str], str]) -> str:
    (name,) = kafka.create_topics([unique("raw")], partitions=1, config={"max.message.bytes": "2000"})
    return name


def test_a_fatal_error_reaches_the_callers_and_the_probe(kafka: KafkaBroker, topic: str) -> None:
    # Given a producer that must leave no gap, and a message that the broker refuses: the gap that librdkafka can't mend
    reports: list[DeliveryError | None] = []
    config = ProducerConfig(
        bootstrap_servers=kafka.bootstrap_servers, linger_ms=0, properties={"enable.gapless.guarantee": True}
    )
    producer = KafkaProducer(config, topic)
    producer.produce(b"good", on_delivery=lambda error, _: reports.append(error))
    producer.flush(30)
    with HealthServer(0, live={"producer": producer.find_liveness_problem}, ready={}) as health:
        assert health.answer("/healthz")[0] == 200
        # When
        producer.produce(os.urandom(5000), on_delivery=lambda error, _: reports.append(error))
        assert producer.flush(30) == 0
        # Then its delivery has failed, the probe fails with the cause, and nothing more is taken
        assert [error.code if error else None for error in reports] == [None, "MSG_SIZE_TOO_LARGE"]
        status, _, body = health.answer("/healthz")
    assert status == 503
    assert b"the producer can't go on, make a new one" in body
    with pytest.raises(FatalKafkaError, match=r"make a new one: .*gap-less") as caught:
        producer.produce(b"late")
    assert str(caught.value) == producer.fatal_error == producer.find_liveness_problem()
    assert [message.value() for message in read_topic(kafka, topic)] == [b"good"]


def test_it_is_known_before_librdkafkas_event_was_served(kafka: KafkaBroker, topic: str) -> None:
    # Given a producer that nobody polls while the error comes
    config = ProducerConfig(
        bootstrap_servers=kafka.bootstrap_servers, linger_ms=0, properties={"enable.gapless.guarantee": True}
    )
    reports: list[DeliveryError | None] = []
    producer = KafkaProducer(config, topic)
    producer.produce(os.urandom(5000), on_delivery=lambda error, _: reports.append(error))
    client, queued = producer._producer, 0

    def is_refused() -> bool:
        nonlocal queued
        try:
            client.produce(topic, b"x")
        except KafkaException:
            return True
        queued += 1
        return False

    wait_until(is_refused, what="librdkafka's refusal")
    assert producer.fatal_error is None
    # When it produces, Then that is the fatal error with its cause, not a failed delivery
    with pytest.raises(FatalKafkaError, match="gap-less"):
        producer.produce(b"late")
    # and no report is lost for it
    assert producer.flush(30) == 0
    assert [error.code for error in reports if error is not None] == ["MSG_SIZE_TOO_LARGE"]


def test_no_report_is_lost_when_it_comes_in_the_middle_of_a_flush(kafka: KafkaBroker, topic: str) -> None:
    # Given many messages on their way, the first of which the broker will refuse
    config = ProducerConfig(
        bootstrap_servers=kafka.bootstrap_servers, linger_ms=500, properties={"enable.gapless.guarantee": True}
    )
    codes: list[str | None] = []
    producer = KafkaProducer(config, topic)
    producer.produce(os.urandom(5000), on_delivery=lambda error, _: codes.append(error.code if error else None))
    for _ in range(2000):
        producer.produce(b"x", on_delivery=lambda error, _: codes.append(error.code if error else None))
    # When the flush serves the fatal error and the reports
    assert producer.flush(30) == 0
    # Then each was heard of once, the flush has raised nothing, and the producer knows
    assert len(codes) == 2001
    assert producer.fatal_error is not None
