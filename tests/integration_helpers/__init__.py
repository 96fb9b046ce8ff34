"""What the integration tests share: reading a topic to its end, consumers on a thread, and processes of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from consumers.kafka_consumer import KafkaConsumer
from consumers.marks import Mark, parse_mark
from consumers.start_offsets import NO_COORDINATOR
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until

PARTITION_UA = -1
"""librdkafka's word for: the partitioner decides."""

READING = b'{"schema_version":1,"device":"DEV-01","metrics":{"temperature":20.5},"ts":"2026-02-20 22:45"}'


def read_topic(kafka: KafkaBroker, topic: str, *, transactional: bool = False) -> list[Message]:
    """Return every message of ``topic``, partition by partition.

    In a ``transactional`` one, those that are committed: what lies behind the last of these is not waited for.
    """
    client = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": "reads-all",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": 12_000_000,
            "receive.message.max.bytes": 120_000_000,
        }
    )
    try:
        places = [TopicPartition(topic, number, 0) for number in client.list_topics(topic).topics[topic].partitions]
        ends = {place.partition: client.get_watermark_offsets(place)[1] for place in places}
        client.assign(places)
        found: list[Message] = []
        open_partitions = set(ends)

        def all_there() -> bool:
            for message in client.consume(10_000, 0.2):
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition() or 0)
            return len(found) >= sum(ends.values()) or (transactional and not open_partitions)

        wait_until(all_there, what=f"{sum(ends.values())} messages of {topic}")
    finally:
        client.close()
    return sorted(found, key=lambda message: (message.partition() or 0, message.offset() or 0))


def count_messages(kafka: KafkaBroker, topic: str) -> int:
    """Return how many messages ``topic`` has got so far."""
    client = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "counts"})
    try:
        numbers = client.list_topics(topic).topics[topic].partitions
        return sum(client.get_watermark_offsets(TopicPartition(topic, number))[1] for number in numbers)
    finally:
        client.close()


def headers_of(message: Message) -> dict[str, str]:
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    return {name: (value or b"").decode() for name, value in headers}


def send(kafka: KafkaBroker, topic: str, values: list[bytes], *, partition: int | None = None) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "message.max.bytes": 2_000_000})
    for number, value in enumerate(values):
        chosen = PARTITION_UA if partition is None else partition
        producer.produce(topic, value, key=f"k{number}", headers={"id": f"{number}"}, partition=chosen)
        producer.poll(0)
    assert producer.flush(30) == 0


def committed(kafka: KafkaBroker, group: str, topic: str, partitions: int) -> dict[int, int]:
    """Return the group's committed offsets, 0 where it has none."""
    return {place.partition: max(place.offset, 0) for place in _read_committed(kafka, group, topic, partitions)}


def committed_marks(kafka: KafkaBroker, group: str, topic: str, partitions: int) -> dict[int, Mark]:
    """Return how the group's partitions are left, as the texts beside their offsets say."""
    return {place.partition: parse_mark(place.metadata) for place in _read_committed(kafka, group, topic, partitions)}


def _read_committed(kafka: KafkaBroker, group: str, topic: str, partitions: int) -> list[TopicPartition]:
    client = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})
    places = [TopicPartition(topic, number) for number in range(partitions)]

    def read() -> list[TopicPartition]:
        try:
            return client.committed(places, timeout=10)
        except KafkaException as error:
            # A broker that has just begun is nobody's coordinator for a moment.
            if error.args[0].code() in NO_COORDINATOR:
                return []
            raise

    try:
        return wait_until(read, what=f"offsets of {group}")
    finally:
        client.close()


class Collector:
    """Notes every call."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def handle(self, payload: Any) -> None:
        self.calls.append(payload)

    @property
    def messages(self) -> list[Any]:
        return [message for call in self.calls for message in (call if isinstance(call, list) else [call])]


class Running:
    """A `KafkaConsumer` on a thread of its own."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        self.consumer = consumer
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.consumer.start()
        except BaseException as error:  # handed to the test
            self.error = error

    def stop(self) -> None:
        self.consumer.stop()
        self.join()
        if self.error is not None:
            raise self.error

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive(), "the consumer did not end"


class OurProcess:
    """``python -m MODULE`` with an environment of ours alone; its log goes to a file."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env={"PATH": os.environ["PATH"], "HTTP_PORT": str(self.port), "LOG_FORMAT": "json", **environment},
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting."""
        self._process.terminate()

    def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        self._process.terminate()
        return self._process.wait(40)

    def wait(self, timeout: float = 60) -> int:
        return self._process.wait(timeout)
