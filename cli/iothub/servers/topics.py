"""The hub's own topics on this machine's Kafka, as the charts make them on a cluster."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

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


def build_hub_topics() -> tuple[WantedTopic, ...]:
    """Return the hub's topics: raw, clean and dead letters."""
    usual = {"retention.ms": str(7 * _DAY_MS), "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    dlq = {"retention.ms": str(30 * _DAY_MS), "max.message.bytes": str(DLQ_MAX_MESSAGE_BYTES)}
    return tuple(
        WantedTopic(name=name, partitions=PARTITIONS, configs=configs)
        for name, configs in ((TOPIC_RAW, usual), (TOPIC_CLEAN, usual), (TOPIC_DLQ, dlq))
    )


def make_topics(bootstrap_servers: str, wanted: Iterable[WantedTopic]) -> None:
    """Make or grow the topics on an Apache Kafka that is ready. Raises StartFailed."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        for step in read_steps(client, tuple(wanted)):
            apply_step(client, step)
    except (KafkaException, IotHubError) as error:
        raise StartFailed(f"the topics can't be made on {bootstrap_servers}: {_say(error)}") from error


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
