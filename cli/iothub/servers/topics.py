"""The hub's own topics on this machine's Kafka, as the charts make them on a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import TopicMetadata

from iothub.errors import StartFailed
from iothub.servers.kafka import MAX_MESSAGE_BYTES
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES
from telemetry.errors import IotHubError
from telemetry.names import TOPIC_CLEAN, TOPIC_DLQ, TOPIC_RAW
from topics.__main__ import apply_step, read_steps
from topics.plan import WantedTopic

PARTITIONS = 6
_DAY_MS = 24 * 3600 * 1000
_REQUEST = 30.0
_LEADER_SECONDS = 20.0
_LOOK_SECONDS = 0.05


def build_hub_topics() -> tuple[WantedTopic, ...]:
    """Return the hub's topics: raw, clean and dead letters."""
    usual = {"retention.ms": str(7 * _DAY_MS), "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    dlq = {"retention.ms": str(30 * _DAY_MS), "max.message.bytes": str(DLQ_MAX_MESSAGE_BYTES)}
    return tuple(
        WantedTopic(name=name, partitions=PARTITIONS, configs=configs)
        for name, configs in ((TOPIC_RAW, usual), (TOPIC_CLEAN, usual), (TOPIC_DLQ, dlq))
    )


def make_topics(bootstrap_servers: str, wanted: Iterable[WantedTopic]) -> None:
    """Make or grow the topics on an Apache Kafka that is ready, and return once clients can use them.

    Raises StartFailed.
    """
    topics = tuple(wanted)
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        for step in read_steps(client, topics):
            apply_step(client, step)
        _wait_for_leaders(client, topics)
    except (KafkaException, IotHubError) as error:
        raise StartFailed(f"the topics can't be made on {bootstrap_servers}: {_say(error)}") from error


def _wait_for_leaders(client: AdminClient, topics: Sequence[WantedTopic]) -> None:
    # The controller answers once a topic is decided on; the broker knows of it a moment later.
    deadline = time.monotonic() + _LEADER_SECONDS
    while True:
        there = client.list_topics(timeout=_REQUEST).topics
        late = [topic.name for topic in topics if not _has_leaders(there.get(topic.name), topic.partitions)]
        if not late:
            return
        if time.monotonic() > deadline:
            raise StartFailed(f"{', '.join(late)} had no leader for every partition within {_LEADER_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)


def _has_leaders(topic: TopicMetadata | None, partitions: int) -> bool:
    if topic is None or len(topic.partitions) < partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def touch_topics(bootstrap_servers: str, names: Iterable[str]) -> None:
    """Have the Kafka in memory make the topics that it does not have yet: it does so when it is asked for one.

    Raises StartFailed.
    """
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0, "allow.auto.create.topics": True})
    try:
        for name in names:
            client.list_topics(name, timeout=_REQUEST)
    except KafkaException as error:
        raise StartFailed(f"the topics can't be made on {bootstrap_servers}: {_say(error)}") from error


def _say(error: Exception) -> str:
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)
