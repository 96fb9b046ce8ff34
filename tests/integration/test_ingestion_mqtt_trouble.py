"""MQTT ingestion when something is too large, too much or too late: nothing is lost, and memory stays bounded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator

import psutil
import pytest
from confluent_kafka import KafkaException
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from integration_helpers import OurProcess, count_messages, headers_of, read_topic
from support.kafka_broker import KafkaBroker
from support.mosquitto import OPEN_CONFIG, Mosquitto
from support.plugin import KafkaFactory, MosquittoFactory
from support.waiting import wait_until

Start = Callable[..., OurProcess]

_MIB = 1024 * 1024
LARGE_CONFIG = OPEN_CONFIG.replace("max_packet_size 12000000", "max_packet_size 40000000")


@pytest.fixture
def broker(mosquitto_factory: MosquittoFactory) -> Mosquitto:
    return mosquitto_factory(LARGE_CONFIG)


@pytest.fixture
def device(broker: Mosquitto) -> Iterator[Client]:
    client = Client(CallbackAPIVersion.VERSION2, "device", protocol=MQTTv5)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def publish(device: Client, payload: bytes, **properties: object) -> None:
    own = Properties(PacketTypes.PUBLISH)
    for name, value in properties.items():
        setattr(own, name, value)
    info = device.publish("telemetry/DEV-01", payload, qos=1, properties=own)
    info.wait_for_publish(60)
    assert info.is_published()


def environment(kafka: KafkaBroker, broker: Mosquitto, topic: str, dlq: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "INGESTION_TOPIC": topic,
        "INGESTION_DLQ_TOPIC": dlq,
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(broker.port),
        "MQTT_CLIENT_ID": "ingestion-0",
    }


def is_there(kafka: KafkaBroker, topic: str, number: int) -> bool:
    """Return whether ``topic`` has so many messages; not while Kafka is too busy to say."""
    try:
        return count_messages(kafka, topic) >= number
    except KafkaException:
        return False


def ready(process: OurProcess) -> None:
    wait_until(lambda: '"event":"subscribed"' in process.log, hint=lambda: process.log)


def test_properties_come_through_as_far_as_they_may(
    kafka: KafkaBroker, broker: Mosquitto, device: Client, topic: str, dlq: str, start_process: Start
) -> None:
    process = start_process("ingestion.mqtt", **environment(kafka, broker, topic, dlq), MQTT_MAX_USER_PROPERTIES="3")
    ready(process)
    given = [("id", "m-1"), ("site", "A"), ("replay.group", "storage"), ("device", "DEV-99"), ("unit", "°C")]
    publish(device, b"1", UserProperty=[*given, ("third", ""), ("fourth", "x")])
    wait_until(lambda: len(read_topic(kafka, topic)) == 1, hint=lambda: process.log)
    (message,) = read_topic(kafka, topic)
    headers = headers_of(message)
    assert headers.pop("received_at")
    assert headers == {
        "id": "m-1",
        "source": "mqtt",
        "mqtt_topic": "telemetry/DEV-01",
        "device": "DEV-01",
        "site": "A",
        "unit": "°C",
        "third": "",
    }


def test_what_even_the_dead_letters_can_t_take_keeps_its_first_kilobyte(
    kafka: KafkaBroker, broker: Mosquitto, device: Client, topic: str, dlq: str, start_process: Start
) -> None:
    process = start_process("ingestion.mqtt", **environment(kafka, broker, topic, dlq))
    ready(process)
    huge = os.urandom(20 * _MIB)
    publish(device, huge)
    publish(device, b"behind it")
    wait_until(lambda: len(read_topic(kafka, dlq)) == 1, hint=lambda: process.log)
    wait_until(lambda: len(read_topic(kafka, topic)) == 1, hint=lambda: process.log)
    (letter,) = read_topic(kafka, dlq)
    headers = headers_of(letter)
    assert letter.value() == huge[:1024]
    assert headers["dlq.reason"] == "too_large"
    assert headers["dlq.truncated"] == "true"
    assert headers["dlq.size"] == str(len(huge))
    assert headers["dlq.sha256"] == hashlib.sha256(huge).hexdigest()
    assert process.terminate() == 0
    assert '"unacknowledged":0' in process.log


def test_topics_that_take_less_than_they_should_stop_nothing(
    kafka: KafkaBroker, broker: Mosquitto, device: Client, unique: Callable[[str], str], start_process: Start
) -> None:
    """Given topics with Kafka's own limits in place of ours, then a message takes the next smaller form."""
    topic, dlq = unique("small"), unique("small-dead")
    kafka.create_topics([topic], partitions=1, config={"max.message.bytes": "10000"})
    kafka.create_topics([dlq], partitions=1, config={"max.message.bytes": "50000"})
    process = start_process("ingestion.mqtt", **environment(kafka, broker, topic, dlq))
    ready(process)
    middle, large = os.urandom(20_000), os.urandom(500_000)
    # One after the other: Kafka refuses a whole batch, with what else is in it.
    for number, payload in enumerate((middle, large, b"small"), 1):
        publish(device, payload)
        wait_until(
            lambda: count_messages(kafka, dlq) + count_messages(kafka, topic) == number,  # noqa: B023
            hint=lambda: process.log,
        )
    assert {message.value() for message in read_topic(kafka, dlq)} == {middle, large[:1024]}
    assert [message.value() for message in read_topic(kafka, topic)] == [b"small"]
    assert process.terminate() == 0
    assert '"unacknowledged":0' in process.log


def test_a_producer_that_can_t_go_on_ends_the_process_and_the_next_one_loses_nothing(
    kafka: KafkaBroker, broker: Mosquitto, device: Client, unique: Callable[[str], str], dlq: str, start_process: Start
) -> None:
    topic = unique("small")
    kafka.create_topics([topic], partitions=1, config={"max.message.bytes": "2000"})
    settings = environment(kafka, broker, topic, dlq)
    # Given a producer that must leave no gap, and a message that the broker refuses
    process = start_process("ingestion.mqtt", **settings, KAFKA_PROPERTIES='{"enable.gapless.guarantee": true}')
    ready(process)
    refused = os.urandom(5000)
    publish(device, b"before")
    wait_until(lambda: count_messages(kafka, topic) == 1, hint=lambda: process.log)
    publish(device, refused)
    # Then the process ends, and says why
    wait_until(lambda: process.returncode is not None, hint=lambda: process.log)
    assert process.returncode == 70
    assert '"reason":"FatalKafkaError"' in process.log
    # And what it had not acknowledged comes to the next one
    process = start_process("ingestion.mqtt", **settings)
    wait_until(lambda: count_messages(kafka, dlq) == 1, hint=lambda: process.log)
    publish(device, b"behind")
    wait_until(lambda: count_messages(kafka, topic) == 2, hint=lambda: process.log)
    assert {message.value() for message in read_topic(kafka, topic)} == {b"before", b"behind"}
    assert [message.value() for message in read_topic(kafka, dlq)] == [refused]


def test_a_kafka_that_is_away_costs_bounded_memory_and_loses_nothing(
    kafka_factory: KafkaFactory,
    broker: Mosquitto,
    device: Client,
    topic: str,
    dlq: str,
    start_process: Start,
) -> None:
    """Given a frozen Kafka and 250 MB that come in meanwhile, then it recovers by itself, and all of it arrives."""
    own = kafka_factory()
    own.create_topics([topic, dlq], partitions=3)
    process = start_process(
        "ingestion.mqtt",
        **environment(own, broker, topic, dlq),
        MQTT_KEEPALIVE_SECONDS="6",
        MQTT_MAX_IN_FLIGHT_BYTES=str(32 * _MIB),
    )
    ready(process)
    publish(device, b"first")
    wait_until(lambda: is_there(own, topic, 1))
    own.pause()
    memory = psutil.Process(process._process.pid)
    idle = memory.memory_info().rss
    payloads = [os.urandom(250_000) for _ in range(1000)]
    infos = [device.publish("telemetry/DEV-01", payload, qos=1) for payload in payloads]
    wait_until(lambda: all(info.is_published() for info in infos), timeout=90)
    # Then it takes what it may, and leaves the rest to the broker
    wait_until(lambda: "no room, the broker keeps what comes in" in process.log, hint=lambda: process.log)
    assert process.returncode is None
    most = memory.memory_info().rss
    own.resume()
    wait_until(lambda: is_there(own, topic, 1001), timeout=120, hint=lambda: process.log[-3000:])
    wanted = {hashlib.sha256(payload).digest() for payload in (b"first", *payloads)}
    wait_until(
        lambda: {hashlib.sha256(message.value() or b"").digest() for message in read_topic(own, topic)} == wanted,
        timeout=120,
        hint=lambda: process.log[-3000:],
    )
    most = max(most, memory.memory_info().rss)
    assert most - idle < 100 * _MIB
    assert process.terminate() == 0


def test_told_to_end_while_kafka_is_away_it_is_gone_within_its_grace_period_and_loses_nothing(
    kafka_factory: KafkaFactory, broker: Mosquitto, device: Client, topic: str, dlq: str, start_process: Start
) -> None:
    """Given two that share and a frozen Kafka, then neither has to be killed and their sessions keep all."""
    own = kafka_factory()
    own.create_topics([topic, dlq], partitions=3)
    names = ("ingestion-0", "ingestion-1")

    def start(name: str) -> OurProcess:
        settings = environment(own, broker, topic, dlq) | {"MQTT_CLIENT_ID": name, "MQTT_SHARE_GROUP": "hub"}
        process = start_process("ingestion.mqtt", **settings)
        ready(process)
        return process

    processes = [start(name) for name in names]
    publish(device, b"before")
    wait_until(lambda: is_there(own, topic, 1))
    own.pause()
    wanted = {f"{number}".encode() for number in range(600)}
    infos = [device.publish("telemetry/DEV-01", payload, qos=1) for payload in wanted]
    wait_until(lambda: all(info.is_published() for info in infos))
    for process in processes:
        process.ask_to_end()
    assert [process.wait(60) for process in processes] == [0, 0]  # the chart's grace period
    assert all('"session":"kept"' in process.log for process in processes)
    own.resume()
    for name in names:
        start(name)
    wait_until(lambda: is_there(own, topic, 601))
    wait_until(lambda: {message.value() for message in read_topic(own, topic)} == {b"before", *wanted})
