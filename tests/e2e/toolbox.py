"""What the tests do from inside the cluster: publish as devices, read topics, look at consumer groups.

The tests copy this file into a pod of the worker image and run it there through ``kubectl exec``, so that they need no
port-forward and see the brokers as devices and consumers see them. It knows nothing of the project's own code: what
checks the pipeline must not share its faults. Every command prints JSON lines.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

RETRY_SECONDS = 0.05
SHOWN_BYTES = 4096
"""Values up to this size are printed; of larger ones the size and the SHA-256 have to do."""


def answer(line: object) -> None:
    """Print one JSON line."""
    sys.stdout.write(json.dumps(line) + "\n")


class Device(threading.Thread):
    """One device: publishes with QoS 1, in order, and notes each acknowledgement.

    What is not acknowledged when the connection breaks is published first on the next one, in order and with the same
    id. Every connection is a client of its own, used by this thread alone: paho by itself lets a new message pass those
    that wait for a reconnection.
    """

    def __init__(self, name: str, host: str, port: int, credentials: dict[str, str], window: int) -> None:
        super().__init__(daemon=True)
        self.acknowledged: list[tuple[str, int, float]] = []
        self.connections = 0
        self.queue: deque[dict[str, str]] = deque()
        """What is still to be published; the main thread appends."""
        self._name = name
        self._address = (host, port)
        self._credentials = credentials
        self._window = window
        self._unacknowledged: dict[str, dict[str, str]] = {}
        self._ids: dict[int, str] = {}
        self._connected = False
        self.start()

    def run(self) -> None:
        while True:
            client = self._connect()
            if client is None:
                time.sleep(RETRY_SECONDS)
                continue
            again = deque(self._unacknowledged.values())
            while client.loop(timeout=0.02) == MQTTErrorCode.MQTT_ERR_SUCCESS:
                while self._connected and again:
                    self._send(client, again.popleft())
                while self._connected and self.queue and len(self._unacknowledged) < self._window:
                    message = self.queue.popleft()
                    self._unacknowledged[message["id"]] = message
                    self._send(client, message)
            self._connected = False

    def _connect(self) -> Client | None:
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._name, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(self._credentials["username"], self._credentials["password"])
        client.connect_timeout = 2.0
        client.max_inflight_messages_set(0)  # the window is kept here
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        self._ids.clear()
        try:
            client.connect(*self._address, keepalive=5, clean_start=True)
        except OSError:
            return None
        return client

    def _send(self, client: Client, message: dict[str, str]) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("id", message["id"])
        payload = base64.b64decode(message["payload"])
        self._ids[client.publish(message["topic"], payload, qos=1, properties=properties).mid] = message["id"]

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        if not code.is_failure:
            self.connections += 1
            self._connected = True

    def _on_publish(self, _client: Client, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        id_ = self._ids.pop(mid)
        self._unacknowledged.pop(id_, None)
        self.acknowledged.append((id_, code.value, time.time()))


def publish(arguments: argparse.Namespace) -> None:
    """Publish the messages of a file at a rate; print every acknowledgement, then a summary."""
    messages = [json.loads(line) for line in Path(arguments.input).read_text("utf-8").splitlines()]
    credentials_file = Path(arguments.credentials)
    deadline = time.monotonic() + arguments.timeout
    while not credentials_file.exists():
        if time.monotonic() > deadline:
            sys.exit(f"no {credentials_file} within {arguments.timeout} s")
        time.sleep(RETRY_SECONDS)
    credentials = json.loads(credentials_file.read_text("utf-8"))

    begun = time.time()
    names = sorted({message["connection"] for message in messages})
    devices = {
        name: Device(f"{arguments.client_prefix}{name}", arguments.host, arguments.port, credentials, arguments.window)
        for name in names
    }
    progress = Path(f"{arguments.input}.progress")

    def note_progress() -> int:
        done = sum(len(device.acknowledged) for device in devices.values())
        fresh = progress.with_suffix(".new")
        fresh.write_text(str(done), "utf-8")
        fresh.rename(progress)
        return done

    noted = time.monotonic()
    for number, message in enumerate(messages):
        devices[message["connection"]].queue.append(message)
        if arguments.rate:
            ahead = begun + number / arguments.rate - time.time()
            if ahead > 0:
                time.sleep(ahead)
        if time.monotonic() - noted > 0.1:
            noted = time.monotonic()
            note_progress()
    while note_progress() < len(messages) and time.monotonic() < deadline:
        time.sleep(0.1)

    for device in devices.values():
        for id_, code, at in device.acknowledged:
            answer({"id": id_, "code": code, "at": at})
    connections = sum(device.connections for device in devices.values())
    answer({"summary": True, "begun": begun, "ended": time.time(), "connections": connections})


def _consumer(arguments: argparse.Namespace, group: str = "e2e-reader") -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": arguments.bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 12_000_000,
        }
    )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions)


def _describe(message: Message) -> dict[str, Any]:
    value = message.value()
    assert isinstance(value, bytes)
    key = message.key()
    pairs: Any = message.headers() or []
    headers = {name: (raw or b"").decode("utf-8", "replace") for name, raw in pairs}
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": key.decode("utf-8", "replace") if isinstance(key, bytes) else None,
        "id": headers.get("id"),
        "size": len(value),
        "sha256": hashlib.sha256(value).hexdigest(),
        "value": base64.b64encode(value).decode() if len(value) <= SHOWN_BYTES else None,
        "headers": headers,
    }


def read(arguments: argparse.Namespace) -> None:
    """Print the records of topics from the beginning to the end whose id has a prefix.

    Waits until ``--until`` different ids were seen, at most ``--timeout`` seconds, and then reads on to what is the end
    at that moment, so that whatever came more than once is seen too.
    """
    consumer = _consumer(arguments)
    places = [TopicPartition(topic, number, 0) for topic in arguments.topics for number in _partitions(consumer, topic)]
    positions = {}
    for place in places:
        positions[place.topic, place.partition], _ = consumer.get_watermark_offsets(place, timeout=10)
    consumer.assign(places)
    seen: set[str] = set()
    ends: dict[tuple[str, int], int] | None = None
    deadline = time.monotonic() + arguments.timeout
    while True:
        for message in consumer.consume(2_000, timeout=0.3):
            if message.error():
                sys.exit(f"reading {arguments.topics}: {message.error()}")
            positions[message.topic() or "", message.partition() or 0] = (message.offset() or 0) + 1
            record = _describe(message)
            if (record["id"] or "").startswith(arguments.prefix):
                seen.add(record["id"])
                answer(record)
        late = time.monotonic() > deadline
        if ends is None and (len(seen) >= arguments.until or late):
            ends = {
                (place.topic, place.partition): consumer.get_watermark_offsets(place, timeout=10)[1] for place in places
            }
        if ends is not None and (late or all(positions[place] >= end for place, end in ends.items())):
            break
    consumer.close()


def lag(arguments: argparse.Namespace) -> None:
    """Wait until a group has committed all of its topics to the end; print what each partition still lacks."""
    consumer = _consumer(arguments, arguments.group)
    deadline = time.monotonic() + arguments.timeout
    while True:
        places = [
            TopicPartition(topic, number) for topic in arguments.topics for number in _partitions(consumer, topic)
        ]
        behind = {}
        for committed in consumer.committed(places, timeout=10):
            first, end = consumer.get_watermark_offsets(committed, timeout=10)
            behind[f"{committed.topic}[{committed.partition}]"] = end - max(committed.offset, first)
        if not any(behind.values()) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    consumer.close()
    answer(behind)


def members(arguments: argparse.Namespace) -> None:
    """Print a consumer group's state and its members with their partitions."""
    admin = AdminClient({"bootstrap.servers": arguments.bootstrap})
    group = admin.describe_consumer_groups([arguments.group], request_timeout=10)[arguments.group].result()
    described = {
        "state": group.state.name,
        "members": [
            {
                "client": member.client_id,
                "partitions": [f"{place.topic}[{place.partition}]" for place in member.assignment.topic_partitions],
            }
            for member in group.members
        ],
    }
    answer(described)


def create_topic(arguments: argparse.Namespace) -> None:
    """Create a topic."""
    admin = AdminClient({"bootstrap.servers": arguments.bootstrap})
    new = NewTopic(arguments.topic, num_partitions=arguments.partitions, replication_factor=1)
    for future in admin.create_topics([new], operation_timeout=20, request_timeout=30).values():
        future.result()
    answer({"created": arguments.topic})


def topics(arguments: argparse.Namespace) -> None:
    """Print every topic with its number of partitions."""
    admin = AdminClient({"bootstrap.servers": arguments.bootstrap})
    known = admin.list_topics(timeout=10).topics
    answer({name: len(topic.partitions) for name, topic in known.items()})


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("publish")
    command.set_defaults(run=publish)
    command.add_argument("--host", required=True)
    command.add_argument("--port", type=int, default=1883)
    command.add_argument("--credentials", required=True)
    command.add_argument("--input", required=True)
    command.add_argument("--client-prefix", default="")
    command.add_argument("--rate", type=float, default=0)
    command.add_argument("--window", type=int, default=20)
    command.add_argument("--timeout", type=float, default=180)

    for run in (read, lag, members, create_topic, topics):
        command = commands.add_parser(run.__name__.replace("_", "-"))
        command.set_defaults(run=run)
        command.add_argument("--bootstrap", required=True)
        if run in {read, lag}:
            command.add_argument("--topics", nargs="+", required=True)
            command.add_argument("--timeout", type=float, default=60)
        if run is read:
            command.add_argument("--prefix", default="")
            command.add_argument("--until", type=int, default=0)
        if run in {lag, members}:
            command.add_argument("--group", required=True)
        if run is create_topic:
            command.add_argument("--topic", required=True)
            command.add_argument("--partitions", type=int, default=1)

    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
