"""The Kafka that the benchmarks run on: Apache Kafka as `iothub up` starts it, or one that is already there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from benchmarks.child import Child, wait_until
from iothub.servers.kafka import MAX_MESSAGE_BYTES, prepare_kafka
from iothub.servers.ports import free_port
from iothub.servers.topics import make_topics
from topics.plan import WantedTopic

PARTITIONS = 6
_HEAP_MIB = 1024
_SECONDS = 30.0
_FOR_LAPTOPS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Quick to start, slower under load: what the hub wants of its Kafka and a benchmark does not."""


class Kafka:
    """A running Kafka and what benchmarks ask of it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def make_topics(self, *names: str) -> None:
        """Make the topics, of six partitions each, where they are not there, and return once they can be used."""
        configs = {"max.message.bytes": str(MAX_MESSAGE_BYTES), "retention.ms": "-1"}
        make_topics(
            self.bootstrap_servers,
            [WantedTopic(name=name, partitions=PARTITIONS, configs=configs) for name in names],
        )
        # A leader is elected a moment before it knows of it.
        wait_until(lambda: self._leads(names), seconds=_SECONDS, what=f"leaders of {', '.join(names)}")

    def delete_topics(self, *names: str) -> None:
        """Delete the topics: a run's output is of no use to the next."""
        for deleted in self._admin.delete_topics(list(names), request_timeout=_SECONDS).values():
            deleted.result()

    def count_messages(self, topics: Iterable[str]) -> dict[str, int]:
        """Return how many messages each topic has got so far."""
        topics, latest = list(topics), OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, partition): latest for topic in topics for partition in range(PARTITIONS)}
        found = dict.fromkeys(topics, 0)
        for place, answer in self._admin.list_offsets(asked, request_timeout=_SECONDS).items():
            found[place.topic] += answer.result().offset
        return found

    def _leads(self, topics: Iterable[str]) -> bool:
        try:
            self.count_messages(topics)
        except KafkaException:
            return False
        return True


@contextmanager
def started_kafka(folder: Path) -> Iterator[Kafka]:
    """Start an Apache Kafka of one's own with its data in ``folder``, and end it. Raises StartFailed."""
    log = folder / "kafka.log"
    server = prepare_kafka(folder, port=free_port(), log=log, heap_mib=_HEAP_MIB)
    assert server.bootstrap_servers is not None  # Apache Kafka's is known before it runs
    command = [word for word in server.program.command if word not in _FOR_LAPTOPS]
    with Child("kafka", command, log=log) as child:

        def is_ready() -> bool:
            child.check()
            return server.program.is_ready()

        wait_until(is_ready, seconds=server.program.start_seconds, what="Kafka to be ready")
        yield Kafka(server.bootstrap_servers)
