"""Where a new group begins: its first offsets are committed before its first member joins.

Then lag is right from the first second, and a group that was asked to begin at the end does not skip what comes in
between its creation and its first message.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin._metadata import TopicMetadata

from consumers.config import ConsumerConfig
from consumers.progress import raise_partition_errors
from telemetry.errors import ConfigurationError, NotYetAvailable

StartFrom = Literal["earliest", "latest"] | datetime

NO_COORDINATOR = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)
"""A Kafka that has just started, or whose first group this is, is nobody's coordinator for a moment."""

_REQUEST = 10.0
_POLL = 0.5

log = structlog.get_logger(__name__)


def prepare_group(config: ConsumerConfig, topics: Sequence[str], start_from: StartFrom, *, wait: float) -> None:
    """Wait up to ``wait`` seconds for Kafka and ``topics``, then commit a starting offset wherever the group has none.

    Raises NotYetAvailable (``KafkaUnavailable``, ``TopicNotFound``) that names what is missing.
    """
    try:
        client = Consumer(config.to_librdkafka() | {"enable.auto.commit": False, "log_level": 3})
    except KafkaException as error:
        raise ConfigurationError(f"KAFKA_PROPERTIES: {error.args[0].str()}") from error
    try:
        found = _wait_for_topics(client, config, topics, deadline=time.monotonic() + wait)
        places = [TopicPartition(topic, number) for topic, data in found.items() for number in data.partitions]
        committed = _read_committed(client, places, deadline=time.monotonic() + wait)
        missing = [TopicPartition(place.topic, place.partition) for place in committed if place.offset < 0]
        if missing:
            # A group that has begun takes a new partition from its start, or it would skip what is in it.
            begun = len(missing) < len(committed)
            offsets = _find_offsets(client, missing, "earliest" if begun else start_from)
            _commit(client, config.group_id, offsets, start_from)
    except KafkaException as error:
        raise NotYetAvailable("KafkaUnavailable", f"{config.bootstrap_servers}: {error.args[0].str()}") from error
    finally:
        client.close()


def _wait_for_topics(
    client: Consumer, config: ConsumerConfig, topics: Sequence[str], *, deadline: float
) -> dict[str, TopicMetadata]:
    while True:
        try:
            all_topics = client.list_topics(timeout=min(_REQUEST, max(1.0, deadline - time.monotonic()))).topics
        except KafkaException as error:
            problem = NotYetAvailable(
                "KafkaUnavailable", f"no Kafka answers at {config.bootstrap_servers}: {error.args[0].str()}"
            )
        else:
            found = {topic: all_topics[topic] for topic in topics if topic in all_topics}
            missing = [topic for topic in topics if topic not in found or not found[topic].partitions]
            broken = [f"{topic}: {data.error.str()}" for topic, data in found.items() if data.error is not None]
            if not missing and not broken:
                return found
            problem = NotYetAvailable("KafkaUnavailable", "; ".join(broken))
            if missing:
                problem = NotYetAvailable(
                    "TopicNotFound",
                    f"{_list(missing)} not in Kafka at {config.bootstrap_servers}; create it or correct the name",
                )
        if time.monotonic() >= deadline:
            raise problem
        time.sleep(_POLL)


def _read_committed(client: Consumer, places: list[TopicPartition], *, deadline: float) -> list[TopicPartition]:
    while True:
        try:
            committed = client.committed(places, timeout=_REQUEST)
            raise_partition_errors(committed)
        except KafkaException as error:
            if error.args[0].code() not in NO_COORDINATOR or time.monotonic() >= deadline:
                raise
            time.sleep(_POLL)
        else:
            return committed


def _find_offsets(client: Consumer, places: list[TopicPartition], start_from: StartFrom) -> list[TopicPartition]:
    if isinstance(start_from, datetime):
        at = int(start_from.timestamp() * 1000)
        found = client.offsets_for_times([TopicPartition(p.topic, p.partition, at) for p in places], timeout=_REQUEST)
        raise_partition_errors(found)
        # Where nothing is as young as that, the group begins at the end.
        late = {(p.topic, p.partition) for p in found if p.offset < 0 or p.offset == OFFSET_END}
        ends = _find_ends(client, [p for p in places if (p.topic, p.partition) in late], OFFSET_END)
        return [p for p in found if (p.topic, p.partition) not in late] + ends
    return _find_ends(client, places, OFFSET_BEGINNING if start_from == "earliest" else OFFSET_END)


def _find_ends(client: Consumer, places: list[TopicPartition], end: int) -> list[TopicPartition]:
    found = []
    for place in places:
        low, high = client.get_watermark_offsets(place, timeout=_REQUEST)
        found.append(TopicPartition(place.topic, place.partition, low if end == OFFSET_BEGINNING else high))
    return found


def _commit(client: Consumer, group: str, offsets: list[TopicPartition], start_from: StartFrom) -> None:
    try:
        raise_partition_errors(client.commit(offsets=offsets, asynchronous=False))
    except KafkaException as error:
        if error.args[0].code() not in {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION}:
            raise
        # Only an empty group takes offsets from outside. This one is at work: its members begin new partitions
        # at their `auto.offset.reset`.
        log.info("group is at work, its starting offsets are left to it", group=group)
        return
    log.info("starting offsets committed", group=group, start_from=str(start_from), partitions=len(offsets))


def _list(topics: Sequence[str]) -> str:
    names = ", ".join(repr(topic) for topic in topics)
    return f"topic {names} is" if len(topics) == 1 else f"topics {names} are"
