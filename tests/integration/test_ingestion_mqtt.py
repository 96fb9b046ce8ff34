"""MQTT ingestion as a process between a real mosquitto and a real Kafka: what was acknowledged arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from integration_helpers import OurProcess, headers_of, read_topic
from support.kafka_broker import KafkaBroker
from support.mosquitto import Mosquitto
from support.plugin import KafkaFactory, MosquittoFactory
from support.waiting import wait_until

Start = Callable[..., OurProcess]


class Publisher:
    """A device that notes what was acknowledged, and sends again what was not."""

    def __init__(self, broker: Mosquitto) -> None:
        self.acknowledged: set[str] = set()
        self._ids: dict[int, str] = {}
        self._numbers = count()
        self._client = Client(CallbackAPIVersion.VERSION2, "publisher", protocol=MQTTv5)
        self._client.max_inflight_messages_set(500)
        self._client.max_queued_messages_set(0)
        self._client.on_publish = lambda client, userdata, mid, reason, properties: self.acknowledged.add(
            self._ids[mid]
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port, clean_start=False)
        self._client.loop_start()

    def publish(
        self,
        number: int,
        *,
        topic: str = "telemetry/DEV-01",
        payload: bytes | None = None,
        properties: Properties | None = None,
    ) -> None:
        for _ in range(number):
            identity = f"m{next(self._numbers)}"
            if properties is None:
                own = Properties(PacketTypes.PUBLISH)
                own.UserProperty = [("id", identity)]
            info = self._client.publish(topic, payload or identity.encode(), qos=1, properties=properties or own)
            self._ids[info.mid] = identity

    @property
    def sent(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def topics(kafka: KafkaBroker, unique: Callable[[str], str]) -> dict[str, str]:
    names = {"raw": unique("raw"), "dlq": unique("x") + ".dlq"}
    kafka.create_topics(names.values(), partitions=3)
    return names


def environment(kafka: KafkaBroker, broker: Mosquitto, topics: dict[str, str]) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "INGESTION_TOPIC": topics["raw"],
        "INGESTION_DLQ_TOPIC": topics["dlq"],
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(broker.port),
        "MQTT_CLIENT_ID": "ingestion-0",
    }


def ready(process: OurProcess) -> None:
    wait_until(lambda: '"event":"subscribed"' in process.log, hint=lambda: process.log)


def ids(kafka: KafkaBroker, topic: str) -> list[str]:
    return [headers_of(message)["id"] for message in read_topic(kafka, topic)]


def test_a_message_arrives_untouched_with_its_headers(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory()
    process = start_process("ingestion.mqtt", **environment(kafka, broker, topics))
    ready(process)
    device = Publisher(broker)
    device.publish(1, topic="telemetry/DEV-07", payload=b"\xff\x00 not json")
    device.publish(1, topic="telemetry/", payload=b'{"device": "by-payload"}')
    wait_until(lambda: len(read_topic(kafka, topics["raw"])) == 2, hint=lambda: process.log)
    found = {message.value(): message for message in read_topic(kafka, topics["raw"])}

    plain = found[b"\xff\x00 not json"]
    assert plain.key() == b"DEV-07"
    headers = headers_of(plain)
    assert headers.pop("received_at").endswith("Z")
    assert headers == {"id": "m0", "source": "mqtt", "mqtt_topic": "telemetry/DEV-07", "device": "DEV-07"}
    claimed = found[b'{"device": "by-payload"}']
    assert claimed.key() == b"by-payload"
    assert "device" not in headers_of(claimed)

    assert process.terminate() == 0
    device.close()


def test_every_property_that_mqtt_allows_comes_through(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    """Given a message with odd but legal properties, then it arrives, and so does what comes behind it."""
    broker = mosquitto_factory()
    process = start_process("ingestion.mqtt", **environment(kafka, broker, topics))
    ready(process)
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("\ufeffbom", "\ufeff"), ("", ""), ("id", "\ufeff"), ("id", "x" * 60_000), ("a", "b")]
    properties.ContentType = "\ufefftext"
    properties.ResponseTopic = "answer/here"
    properties.CorrelationData = b"\x00\xff"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 3600
    device = Publisher(broker)
    device.publish(1, payload=b"odd", properties=properties)
    device.publish(1, payload=b"behind it")
    wait_until(lambda: len(read_topic(kafka, topics["raw"])) == 2, hint=lambda: process.log)
    odd, _ = sorted(read_topic(kafka, topics["raw"]), key=lambda message: message.offset() or 0)
    assert odd.value() == b"odd"
    assert headers_of(odd)["content_type"] == "\ufefftext"
    device.close()


def test_what_is_too_large_goes_to_the_dead_letters(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory()
    process = start_process("ingestion.mqtt", **environment(kafka, broker, topics))
    ready(process)
    device, large = Publisher(broker), bytes(range(256)) * 4 * 1024 * 5
    device.publish(1, payload=large)
    device.publish(1, payload=b"small")
    wait_until(lambda: len(read_topic(kafka, topics["dlq"])) == 1, hint=lambda: process.log)
    wait_until(lambda: len(read_topic(kafka, topics["raw"])) == 1, hint=lambda: process.log)
    (letter,) = read_topic(kafka, topics["dlq"])
    assert letter.value() == large
    assert headers_of(letter)["dlq.reason"] == "too_large"
    assert headers_of(letter)["__connect.errors.stage"] == "ingest"
    device.close()


def test_killed_and_started_again_nothing_acknowledged_is_lost(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory()
    settings = environment(kafka, broker, topics)
    process = start_process("ingestion.mqtt", **settings)
    ready(process)
    device = Publisher(broker)
    for _ in range(4):
        before = len(read_topic(kafka, topics["raw"]))
        device.publish(2000)
        wait_until(lambda: len(read_topic(kafka, topics["raw"])) > before, hint=lambda: process.log)  # noqa: B023
        process.kill()
        device.publish(500)
        process = start_process("ingestion.mqtt", **settings)
    wait_until(lambda: len(device.acknowledged) == device.sent == 10_000, timeout=60)
    wait_until(
        lambda: set(ids(kafka, topics["raw"])) >= device.acknowledged, timeout=60, hint=lambda: process.log[-3000:]
    )
    assert process.terminate() == 0
    device.close()


def test_nothing_is_acknowledged_to_the_broker_while_kafka_is_away(
    kafka_factory: KafkaFactory, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    """Given a frozen Kafka and an ingester killed meanwhile, when both are back, then all of it arrives."""
    kafka, broker = kafka_factory(), mosquitto_factory()
    kafka.create_topics(topics.values(), partitions=3)
    settings = environment(kafka, broker, topics)
    process = start_process("ingestion.mqtt", **settings)
    ready(process)
    kafka.pause()
    device = Publisher(broker)
    device.publish(3000)
    wait_until(lambda: len(device.acknowledged) == 3000)
    process.kill()
    process = start_process("ingestion.mqtt", **settings)
    ready(process)
    kafka.resume()
    wait_until(
        lambda: set(ids(kafka, topics["raw"])) == device.acknowledged, timeout=60, hint=lambda: process.log[-3000:]
    )
    device.close()


def test_sigterm_leaves_nothing_behind_and_doubles_nothing(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory()
    settings = environment(kafka, broker, topics)
    device = Publisher(broker)
    for _ in range(3):
        process = start_process("ingestion.mqtt", **settings)
        ready(process)
        device.publish(1000)
        assert process.terminate() == 0, process.log
    process = start_process("ingestion.mqtt", **settings)
    wait_until(lambda: len(device.acknowledged) == 3000)
    wait_until(lambda: len(set(ids(kafka, topics["raw"]))) == 3000, hint=lambda: process.log)
    assert len(ids(kafka, topics["raw"])) == 3000
    device.close()


def test_a_replica_that_leaves_for_good_drains_its_share(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    """Given two that share, when the second is scaled away under load, then its share of the messages is not lost."""
    broker = mosquitto_factory()
    settings = environment(kafka, broker, topics) | {"MQTT_SHARE_GROUP": "ingestion"}
    first = start_process("ingestion.mqtt", **settings)
    second = start_process("ingestion.mqtt", **settings | {"MQTT_CLIENT_ID": "ingestion-1"})
    ready(first)
    ready(second)
    device = Publisher(broker)
    device.publish(2000)
    assert second.terminate() == 0
    assert '"session":"ended"' in second.log
    device.publish(1000)
    wait_until(lambda: len(device.acknowledged) == 3000)
    wait_until(lambda: len(set(ids(kafka, topics["raw"]))) == 3000, hint=lambda: first.log)
    assert first.terminate() == 0
    device.close()


def test_the_mark_appears_once_the_session_exists(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, topics: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory()
    marks: list[tuple[bytes, bool]] = []
    watcher = Client(CallbackAPIVersion.VERSION2, "watcher", protocol=MQTTv5)
    watcher.on_message = lambda client, userdata, message: marks.append((bytes(message.payload), message.retain))
    watcher.connect("127.0.0.1", broker.port)
    watcher.loop_start()
    start_process("ingestion.mqtt", **environment(kafka, broker, topics))

    def marked() -> bool:
        watcher.subscribe("iot-hub/ingestion/ready")
        time.sleep(0.1)  # the pace of asking, not the condition
        return (b"ingestion-0", True) in marks

    wait_until(marked)
    watcher.disconnect()
    watcher.loop_stop()


def test_a_broker_that_is_not_there_shows_in_readiness(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start
) -> None:
    process = start_process(
        "ingestion.mqtt",
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        MQTT_HOST="127.0.0.1",
        MQTT_PORT="1",
    )
    wait_until(lambda: "can't reach the broker" in process.log)
    assert '"why":"Connection refused"' in process.log
    assert process.returncode is None
    assert process.terminate() == 0
