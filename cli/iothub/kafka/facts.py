"""What a Kafka holds: topics, consumer groups, and how far each group is. Read, never changed.

Every ``read_`` takes a `Target`, or a `Kafka` that is open already where it is asked again and again. The Kafka in
memory lists no groups and tells no settings: there a group is known by name (`Target.groups`), and what can't be had
is None.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, ConsumerGroupDescription, ResourceType
from confluent_kafka.admin._metadata import TopicMetadata

from iothub.errors import NotSupported, UsageError
from iothub.kafka.client import REQUEST_SECONDS, Kafka, Place, build_missing_sentence, connect
from iothub.target import Target

_INTERNAL = "__"
"""How Kafka begins the names of its own topics."""


@dataclass(frozen=True)
class PartitionFacts:
    """One partition of a topic. Offsets are None where it has no leader to tell them."""

    number: int
    leader: int | None
    replicas: int
    in_sync: int
    earliest: int | None
    latest: int | None
    """The offset that the next message will get."""

    @property
    def messages(self) -> int | None:
        """How many messages it holds; in a compacted or transactional topic, at most."""
        return None if self.latest is None or self.earliest is None else self.latest - self.earliest


@dataclass(frozen=True)
class TopicFacts:
    """One topic. Its settings are None on the Kafka in memory, which has none to tell."""

    name: str
    partitions: tuple[PartitionFacts, ...]
    retention_ms: int | None = None
    """-1: kept for ever."""
    retention_bytes: int | None = None
    """Of each partition; -1: no limit."""
    cleanup_policy: str | None = None

    @property
    def internal(self) -> bool:
        """Whether it is Kafka's own."""
        return self.name.startswith(_INTERNAL)

    @property
    def replication(self) -> int:
        """How many brokers hold each of its partitions."""
        return max((partition.replicas for partition in self.partitions), default=0)

    @property
    def messages(self) -> int | None:
        """How many messages it holds; None where a partition can't tell."""
        counts = [partition.messages for partition in self.partitions]
        return None if None in counts else sum(count for count in counts if count is not None)


@dataclass(frozen=True)
class PartitionLag:
    """How far a group is in one partition."""

    topic: str
    partition: int
    committed: int | None
    """The offset of the next message to handle; None where the group has committed none yet."""
    earliest: int | None
    latest: int | None

    @property
    def lag(self) -> int | None:
        """Messages still to handle. None without a committed offset: where the group will begin is its own setting."""
        if self.committed is None or self.latest is None:
            return None
        # What the retention has deleted can't be handled any more.
        return max(0, self.latest - max(self.committed, self.earliest or 0))


@dataclass(frozen=True)
class GroupLag:
    """How far a group is in everything that it has committed offsets for or is assigned."""

    group: str
    partitions: tuple[PartitionLag, ...]

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics' names, sorted."""
        return tuple(sorted({place.topic for place in self.partitions}))

    @property
    def lag(self) -> int | None:
        """The sum over the partitions that have one; None where none has."""
        return total_lag(self.partitions)


@dataclass(frozen=True)
class LagReading:
    """Groups' places at one moment; two of them give rates (`iothub.kafka.rates`)."""

    at: float
    """Monotonic seconds."""
    groups: tuple[GroupLag, ...]


@dataclass(frozen=True)
class Member:
    """One member of a group, and what it is to read."""

    client_id: str
    host: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class GroupFacts:
    """A consumer group. State, kind and members are None on the Kafka in memory, which can't tell."""

    group: str
    state: str | None
    kind: str | None
    """``classic``, or ``consumer`` (KIP-848)."""
    members: tuple[Member, ...] | None
    progress: GroupLag


def total_lag(places: Iterable[PartitionLag]) -> int | None:
    """Return the sum of the lags that are known; None where none is."""
    known = [place.lag for place in places if place.lag is not None]
    return sum(known) if known else None


def read_topics(where: Target | Kafka, names: Collection[str] = (), *, internal: bool = False) -> list[TopicFacts]:
    """Return the topics called ``names``, or all of them, by name; Kafka's own only with ``internal`` or by name.

    Raises UsageError for a name that is no topic's.
    """
    kafka = connect(where)
    known = kafka.read_metadata()
    for name in names:
        if name not in known:
            raise UsageError(build_missing_sentence("topic", name, known, kafka.target.title))
    chosen = sorted(names or (name for name in known if internal or not name.startswith(_INTERNAL)))
    marks = kafka.read_watermarks((name, number) for name in chosen for number in known[name].partitions)
    settings = {} if kafka.in_memory else _read_settings(kafka, chosen)
    return [_make_topic(name, known[name], marks, settings.get(name, {})) for name in chosen]


def read_groups(where: Target | Kafka, names: Collection[str] = ()) -> list[GroupFacts]:
    """Return the groups called ``names``, or all that are known, by name. Raises UsageError for an unknown one."""
    kafka = connect(where)
    chosen = _choose_groups(kafka, names)
    described = {} if kafka.in_memory else _describe(kafka, chosen)
    assigned = {group: _assigned(description) for group, description in described.items()}
    reading = _read_lag(kafka, chosen, assigned)
    return [_make_group(progress, described.get(progress.group)) for progress in reading.groups]


def read_lag(where: Target | Kafka, names: Collection[str] = ()) -> LagReading:
    """Return how far the groups called ``names`` are, or all that are known. Raises UsageError for an unknown one."""
    kafka = connect(where)
    return _read_lag(kafka, _choose_groups(kafka, names), {})


def _choose_groups(kafka: Kafka, names: Collection[str]) -> list[str]:
    if kafka.in_memory:
        # Any name may be right: nobody can list them.
        if not names and not kafka.target.groups:
            raise NotSupported("this Kafka is in memory and can't list its groups; name the ones to look at")
        return sorted(names or kafka.target.groups)
    known = _list_groups(kafka)
    for name in names:
        if name not in known:
            raise UsageError(build_missing_sentence("group", name, known, kafka.target.title))
    return sorted(names or known)


def _list_groups(kafka: Kafka) -> list[str]:
    try:
        listed = kafka.admin.list_consumer_groups(request_timeout=REQUEST_SECONDS).result(REQUEST_SECONDS + 1)
    except KafkaException as error:
        kafka.fail(error.args[0])
    for problem in listed.errors or ():
        kafka.fail(problem.args[0] if isinstance(problem, KafkaException) else problem)
    return [group.group_id for group in listed.valid or ()]


def _describe(kafka: Kafka, groups: list[str]) -> dict[str, ConsumerGroupDescription]:
    if not groups:
        return {}
    found = {}
    for group, future in kafka.admin.describe_consumer_groups(groups, request_timeout=REQUEST_SECONDS).items():
        try:
            found[group] = future.result(REQUEST_SECONDS + 1)
        except KafkaException as error:
            # Deleted since it was listed.
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                kafka.fail(error.args[0])
    return found


def _assigned(description: ConsumerGroupDescription) -> set[Place]:
    return {
        (place.topic, place.partition) for member in description.members for place in member.assignment.topic_partitions
    }


def _read_lag(kafka: Kafka, groups: Sequence[str], assigned: Mapping[str, Collection[Place]]) -> LagReading:
    topics = kafka.read_metadata()
    committed: dict[str, dict[Place, int]] = {}
    for group in groups:
        # The Kafka in memory tells a group's offsets only of partitions that it is asked about.
        asked = [
            TopicPartition(name, number)
            for name, topic in (topics.items() if kafka.in_memory else ())
            for number in topic.partitions
        ]
        committed[group] = _read_committed(kafka, group, asked)
    places = {group: _complete(committed[group], assigned.get(group, ()), topics) for group in groups}
    # Taken after the offsets: a lag is never negative then, at most a moment too large.
    at = time.monotonic()
    marks = kafka.read_watermarks({place for own in places.values() for place in own})
    return LagReading(
        at,
        tuple(
            GroupLag(
                group,
                tuple(
                    PartitionLag(*place, committed[group].get(place), *marks.get(place, (None, None)))
                    for place in places[group]
                ),
            )
            for group in groups
        ),
    )


def _complete(
    committed: Mapping[Place, int], assigned: Collection[Place], topics: Mapping[str, TopicMetadata]
) -> list[Place]:
    """Return every partition of every topic that a group reads: one without an offset yet is worth showing."""
    own = {topic for topic, _ in committed} | {topic for topic, _ in assigned}
    return sorted((name, number) for name in own if name in topics for number in topics[name].partitions)


def _read_committed(kafka: Kafka, group: str, asked: list[TopicPartition]) -> dict[Place, int]:
    if kafka.in_memory and not asked:
        return {}
    request = ConsumerGroupTopicPartitions(group, asked or None)
    try:
        (future,) = kafka.admin.list_consumer_group_offsets([request], request_timeout=REQUEST_SECONDS).values()
        answer: ConsumerGroupTopicPartitions = future.result(REQUEST_SECONDS + 1)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return {}
        kafka.fail(error.args[0])
    return {
        (place.topic, place.partition): place.offset
        for place in answer.topic_partitions or ()
        if place.error is None and place.offset >= 0
    }


def _read_settings(kafka: Kafka, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    if not names:
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    for resource, future in kafka.admin.describe_configs(resources, request_timeout=REQUEST_SECONDS).items():
        try:
            found[resource.name] = {name: entry.value for name, entry in future.result(REQUEST_SECONDS + 1).items()}
        except KafkaException as error:
            # Who may read a topic may not always read its settings; and a topic may be deleted meanwhile.
            if error.args[0].code() == KafkaError._TIMED_OUT:
                kafka.fail(error.args[0])
    return found


def _make_topic(
    name: str, topic: TopicMetadata, marks: Mapping[Place, tuple[int, int]], settings: Mapping[str, Any]
) -> TopicFacts:
    partitions = []
    for number, partition in sorted(topic.partitions.items()):
        earliest, latest = marks.get((name, number), (None, None))
        leader = partition.leader if partition.leader >= 0 else None
        partitions.append(
            PartitionFacts(number, leader, len(partition.replicas), len(partition.isrs), earliest, latest)
        )
    return TopicFacts(
        name,
        tuple(partitions),
        _to_number(settings.get("retention.ms")),
        _to_number(settings.get("retention.bytes")),
        settings.get("cleanup.policy"),
    )


def _to_number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _make_group(progress: GroupLag, description: ConsumerGroupDescription | None) -> GroupFacts:
    if description is None:
        return GroupFacts(progress.group, None, None, None, progress)
    members = tuple(
        Member(
            member.client_id,
            member.host.removeprefix("/"),
            tuple(sorted((place.topic, place.partition) for place in member.assignment.topic_partitions)),
        )
        for member in description.members
    )
    return GroupFacts(
        progress.group, _name(description.state), _name(description.type), tuple(sorted(members, key=str)), progress
    )


def _name(word: Any) -> str:
    return str(word.name).lower().replace("_", " ")
