"""What Kafka was last seen to say about a TelemetryConsumer's group: frozen values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Place = tuple[str, int]
"""A topic's partition."""

StartFrom = Literal["earliest", "latest"] | datetime
"""Where a new group begins."""

NO_GROUP = "Dead"
"""Kafka's own word for the state of a group that it does not know."""
EMPTY = "Empty"
STABLE = "Stable"

CLASSIC = "classic"
KIP_848 = "consumer"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is asked about: a group, the topics that it is to read, and where its dead letters go.

    Two TelemetryConsumers of one group and other topics are two readings; what they share is asked for once.
    """

    group: str
    topics: frozenset[str]
    dead_letter_topic: str | None = None
    start_from: StartFrom | None = field(default=None, compare=False)
    """Where the group begins: committed for it as soon as it is seen to have no offsets. None leaves it alone."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a group. Kafka's name for our own workers (``client_id``) is that of their pod."""

    client_id: str
    host: str
    topics: frozenset[str]
    """Those that it has partitions of, or is about to. A spare member has none; what it subscribes to is not told."""
    partitions: int


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """A group as its coordinator sees it."""

    state: str = NO_GROUP
    """In Kafka's words: ``Stable``, ``Empty``, ``PreparingRebalance``, ``CompletingRebalance``, ``Dead``; or
    ``Unknown``, as librdkafka has it for a KIP-848 group in a rebalance."""
    protocol: str | None = None
    """``classic`` or ``consumer`` (KIP-848); None where there is no group."""
    members: tuple[Member, ...] = ()
    members_at: datetime | None = None
    """When their partitions were seen: in a rebalance of the classic protocol nobody tells, the last ones stand."""


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """The dead letters of one group in one topic."""

    count: int
    last_reason: str | None
    last_at: datetime | None
    since: datetime | None
    """Time of the oldest record that was looked at; None where none was. Older dead letters are not counted."""
    skipped: int
    """Records that were passed over unread, since more came than may be read: ``count`` is at least as many."""


@dataclass(frozen=True, kw_only=True)
class KafkaFacts:
    """What Kafka says about a reading. What it does not tell is None, never a guess."""

    reading: Reading
    observed_at: datetime
    """When Kafka was asked, by the wall clock; how old it is, `Observer.look` knows by the monotonic one."""
    partitions: Mapping[str, int]
    """Number of partitions of each topic that there is."""
    missing_topics: tuple[str, ...]
    """Topics that are not in Kafka, or that we may not see."""
    group: GroupView
    lag: int | None
    """Messages still to handle, over all topics that there are. None where the group has no offsets yet, or a partition
    could not be asked: part of a sum would be a lie."""
    topic_lags: Mapping[str, int | None]
    """The same by topic."""
    uncommitted: int
    """Partitions for which the group has committed no offset."""
    lag_slope: float | None
    """By how many messages a second the lag has grown of late (negative: fallen); None until that can be told."""
    drain_seconds: int | None
    """When, at this slope, nothing will be left: 0 where nothing is, None where it grows or stands, or is unknown."""
    dead_letters: DeadLetters | None
    """None where there is no dead-letter topic, or it could not be read."""

    @property
    def has_begun(self) -> bool:
        """Whether the group has an offset in any of its topics."""
        return self.uncommitted < sum(self.partitions.values())


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why there are no facts, or no newer ones: a reason in one word, a sentence, and since when."""

    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known about a reading at this moment. With both, the facts are the last ones, and no newer will come."""

    facts: KafkaFacts | None
    """Never older than a minute."""
    trouble: Trouble | None
