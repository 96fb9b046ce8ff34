"""The servers that the other tests stand on do what those tests take for granted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import ConfigResource
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from iothub.servers.kafka import MAX_MESSAGE_BYTES
from support import require
from support.kafka_broker import KafkaBroker
from support.mosquitto import Mosquitto, find_mosquitto
from support.waiting import wait_until
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.plugin import KafkaFactory, MosquittoFactory


def produce(kafka: KafkaBroker, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0


def read_all(kafka: KafkaBroker, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": f"of-{topic}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    try:
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


def test_topics_have_the_sizes_of_the_design(kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    raw, dlq = kafka.create_topics([unique("raw"), f"{unique('raw')}.dlq"], partitions=3)

    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in (raw, dlq)]
    sizes = [
        int(future.result()["max.message.bytes"].value) for future in kafka.admin.describe_configs(resources).values()
    ]

    assert sizes == [MAX_MESSAGE_BYTES, DLQ_MAX_MESSAGE_BYTES]


def test_no_topic_is_made_by_use(kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    name = unique("never-made")
    kafka.admin.list_topics(name, timeout=10)  # where topics were made by use, asking for one would do it
    assert name not in kafka.admin.list_topics(timeout=10).topics


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_kafka_keeps_what_it_acknowledged(kafka_factory: KafkaFactory, way: str) -> None:
    kafka = kafka_factory()
    (topic,) = kafka.create_topics(["kept"], partitions=1)
    values = [str(number).encode() for number in range(500)]
    produce(kafka, topic, values)

    getattr(kafka, way)()
    assert not kafka.process.is_running
    kafka.start()

    assert read_all(kafka, topic, 500) == values


@pytest.mark.parametrize("minimum", [(2, 0), (2, 1)], ids=["any", "2.1"])
def test_mosquitto_is_of_the_version_asked_for_and_comes_back(
    mosquitto_factory: MosquittoFactory, minimum: tuple[int, ...]
) -> None:
    broker = mosquitto_factory(minimum=minimum)
    assert broker.version >= minimum
    assert find_mosquitto(minimum).version == broker.version

    for end in (broker.kill, broker.stop):
        assert hears_itself(broker)
        end()
        assert not broker.process.is_running
        broker.start()
    assert hears_itself(broker)


def hears_itself(broker: Mosquitto) -> bool:
    heard: list[bytes] = []
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _client, _data, message: heard.append(bytes(message.payload))
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        wait_until(client.is_connected, timeout=10, what="the connection")
        client.subscribe("echo", qos=1)  # handled in order: the subscription is there before the message
        client.publish("echo", b"hello", qos=1)
        return wait_until(lambda: heard, timeout=10, what="the message") == [b"hello"]
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_server_that_dies_while_starting_says_why(mosquitto_factory: MosquittoFactory) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ended with .*no_such_option"):
        mosquitto_factory("listener {port}\nno_such_option true\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_nothing_outlives_a_killed_run(tmp_path: Path) -> None:
    find_mosquitto()
    script = textwrap.dedent(f"""
        import pathlib, signal, sys
        from support.mosquitto import Mosquitto
        broker = Mosquitto(pathlib.Path({str(tmp_path)!r}))
        broker.start()
        print(broker.port, flush=True)
        signal.pause()
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as run:
        assert run.stdout is not None
        port = int(run.stdout.readline())
        run.send_signal(signal.SIGKILL)

    def closed() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_until(closed, timeout=15, what="the orphaned broker's end")


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_what_is_missing_skips_on_a_laptop_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no-such-program-anywhere is missing: install it"):
        require.command("no-such-program-anywhere", "install it")
