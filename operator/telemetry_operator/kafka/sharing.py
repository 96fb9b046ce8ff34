"""Who shares a group, and how many can: ConsumerGroupConflict and ReplicasExceedPartitions. Pure.

Members of one group that read other topics make Kafka hand partitions to and fro, and each commits over what the other
has not read. Members of the same topics share the work, which is what a group is for, whoever started them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from telemetry_operator.kafka.facts import KafkaFacts, Member, Reading
from telemetry_operator.naming import Key


def find_rivals(readings: Mapping[Key, Reading]) -> dict[Key, tuple[Key, ...]]:
    """Return, for each TelemetryConsumer that has any, the others of its group that read other topics, sorted."""
    groups: dict[str, list[Key]] = defaultdict(list)
    for key, reading in readings.items():
        groups[reading.group].append(key)
    rivals = {
        key: tuple(sorted(other for other in keys if readings[other].topics != readings[key].topics))
        for keys in groups.values()
        if len(keys) > 1
        for key in keys
    }
    return {key: others for key, others in rivals.items() if others}


def find_strangers(facts: KafkaFacts, pods: Collection[str]) -> tuple[Member, ...]:
    """Return the members that read topics which are not the reading's.

    ``pods`` are the names of the TelemetryConsumer's own: while its topics change, the old ones still read the old.
    """
    return tuple(
        member
        for member in facts.group.members
        if member.topics - facts.reading.topics and member.client_id not in pods
    )


def count_useful_replicas(facts: KafkaFacts) -> int | None:
    """Return how many workers can have something to read: as many as there are partitions.

    None while a topic is missing: it may come with any number.
    """
    return None if facts.missing_topics else sum(facts.partitions.values())


def count_spare_replicas(replicas: int, facts: KafkaFacts) -> int:
    """Return how many of ``replicas`` will have nothing to read; 0 where that can't be told."""
    useful = count_useful_replicas(facts)
    return 0 if useful is None else max(0, replicas - useful)


def cap_replicas(wanted: int, facts: KafkaFacts | None) -> int:
    """Return ``wanted``, or the number of partitions where that is less; unknown, it caps nothing."""
    useful = None if facts is None else count_useful_replicas(facts)
    return wanted if useful is None else min(wanted, useful)
