"""What `helm test` runs: a reading published as a device publishes it has to arrive in the clean topic.

Exit code 0 once it is there, 1 with one sentence where it is not.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import time
import uuid

import paho.mqtt.client as mqtt
from confluent_kafka import Consumer, KafkaException, TopicPartition
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

DEVICE = "helm-test"


def main() -> None:
    """Open the clean topic at its end, publish one reading, wait for it."""
    deadline = time.monotonic() + float(os.environ["TEST_TIMEOUT_SECONDS"])
    message_id = f"{DEVICE}-{uuid.uuid4()}"
    consumer = open_at_end(os.environ["TEST_CLEAN_TOPIC"], deadline)
    try:
        publish(message_id, deadline)
        print(f"published the reading {message_id}, the broker has acknowledged it", flush=True)  # noqa: T201
        record = wait_for(consumer, message_id, deadline)
    finally:
        consumer.close()
    reading = json.loads(record)
    if reading.get("device") != DEVICE or reading.get("metrics", {}).get("temperature") != 20:
        sys.exit(f"the reading arrived changed: {reading}")
    print(f"it has arrived: {reading}", flush=True)  # noqa: T201


def open_at_end(topic: str, deadline: float) -> Consumer:
    """Return a consumer at the end of every partition of the topic; it commits nothing."""
    properties = json.loads(os.environ.get("KAFKA_PROPERTIES") or "{}")
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "security.protocol": os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"),
            "group.id": DEVICE,
            "enable.auto.commit": False,
            **properties,
        }
    )
    problem = "no answer yet"
    while time.monotonic() < deadline:
        try:
            partitions = consumer.list_topics(topic, timeout=5).topics[topic].partitions
        except KafkaException as error:
            problem = str(error)
        else:
            if partitions:
                # As numbers: OFFSET_END is looked up at the first fetch, when the reading may be there already.
                ends = [TopicPartition(topic, number) for number in partitions]
                for end in ends:
                    end.offset = consumer.get_watermark_offsets(end, timeout=10)[1]
                consumer.assign(ends)
                return consumer
            problem = f"there is no topic {topic}"
        time.sleep(1)
    sys.exit(f"Kafka at {os.environ['KAFKA_BOOTSTRAP_SERVERS']}: {problem}")


def publish(message_id: str, deadline: float) -> None:
    """Publish one reading at QoS 1 and return once the broker has acknowledged it."""
    host, port = os.environ["MQTT_HOST"], int(os.environ["MQTT_PORT"])
    answers: queue.Queue[str] = queue.Queue()
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("id", message_id)]
    reading = {"schema_version": 1, "device": DEVICE, "metrics": {"temperature": 20}, "ts": "2026-02-20 22:45"}

    def on_connect(client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _properties: object) -> None:
        if code.is_failure:
            answers.put(f"refuses the connection: {code}")
        else:
            client.publish(os.environ["TEST_MQTT_TOPIC"], json.dumps(reading), qos=1, properties=properties)

    def on_publish(_client: mqtt.Client, _data: object, _mid: int, code: ReasonCode, _properties: object) -> None:
        answers.put(f"refuses the reading: {code}" if code.is_failure else "")

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=message_id, protocol=mqtt.MQTTv5)
    if "MQTT_USERNAME" in os.environ:
        client.username_pw_set(os.environ["MQTT_USERNAME"], os.environ["MQTT_PASSWORD"])
    client.on_connect, client.on_publish = on_connect, on_publish
    client.reconnect_delay_set(1, 2)
    client.connect_async(host, port)
    client.loop_start()
    try:
        problem = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        problem = "has not answered: do its pods run, and has ingestion subscribed?"
    finally:
        client.disconnect()
        client.loop_stop()
    if problem:
        sys.exit(f"the MQTT broker at {host}:{port} {problem}")


def wait_for(consumer: Consumer, message_id: str, deadline: float) -> bytes:
    """Return the value of the record that carries the id."""
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        if dict(message.headers() or []).get("id") == message_id.encode():
            return bytes(message.value() or b"")
    sys.exit(
        f"the reading was acknowledged, but is not in {os.environ['TEST_CLEAN_TOPIC']}: "
        "look at ingestion's and the validator's logs"
    )


if __name__ == "__main__":
    main()
