"""How far a member is in the partitions that it owns, and how that gets into Kafka.

An offset is kept here until it is committed or its partition has another owner: a commit that a rebalance refuses is
tried again, since what is not committed is handled twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumers.holds import Partition

_REBALANCING = frozenset(
    {KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH}
)
"""The group is between two generations: the same commit works in a moment."""
_LAST_TRIES = 3.0
"""Seconds for which a revoked partition's commit is tried while the group rebalances."""
_PAUSE = 0.1

log = structlog.get_logger(__name__)


class Progress:
    """The owned partitions, each with the offset of the next message to handle.

    With ``commit_each``, `commit` commits synchronously; without, it stores the offsets for librdkafka's next interval.
    """

    def __init__(self, *, commit_each: bool) -> None:
        self._commit_each = commit_each
        self._positions: dict[Partition, int] = {}
        self._uncommitted: set[Partition] = set()
        self.owned: set[Partition] = set()

    @property
    def has_uncommitted(self) -> bool:
        """Whether an earlier commit did not succeed."""
        return bool(self._uncommitted)

    def take(self, partitions: Iterable[TopicPartition]) -> None:
        """Own ``partitions`` from now on."""
        self.owned |= to_partitions(partitions)

    def move(self, partition: Partition, offset: int) -> None:
        """Note that everything before ``offset`` is done."""
        self._positions[partition] = offset
        self._uncommitted.add(partition)

    def commit(self, client: Consumer) -> None:
        """Commit, or store, what has moved. What does not succeed is left for the next call."""
        if not self._uncommitted:
            return
        offsets = self._build_offsets(self._uncommitted)
        try:
            if self._commit_each:
                raise_partition_errors(client.commit(offsets=offsets, asynchronous=False))
            else:
                client.store_offsets(offsets=offsets)
        except KafkaException as error:
            _log_uncommitted(error)
        else:
            self._uncommitted.clear()

    def hand_over(self, client: Consumer, partitions: Iterable[TopicPartition]) -> None:
        """Commit what ``partitions`` have moved, before their next owner asks; `forget` them after it."""
        gone = to_partitions(partitions)
        # Stored offsets too: librdkafka's next interval would be too late.
        moved = gone & (self._uncommitted if self._commit_each else self._positions.keys())
        deadline = time.monotonic() + _LAST_TRIES
        while moved:
            try:
                raise_partition_errors(client.commit(offsets=self._build_offsets(moved), asynchronous=False))
            except KafkaException as error:
                if error.args[0].code() in _REBALANCING and time.monotonic() < deadline:
                    time.sleep(_PAUSE)
                    continue
                _log_uncommitted(error)
            break

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop ``partitions``: their new owner begins at the last commit."""
        gone = to_partitions(partitions)
        self.owned -= gone
        self._uncommitted -= gone
        for partition in gone:
            self._positions.pop(partition, None)

    def _build_offsets(self, partitions: Iterable[Partition]) -> list[TopicPartition]:
        return [TopicPartition(*partition, self._positions[partition]) for partition in partitions]


def to_partitions(places: Iterable[TopicPartition]) -> set[Partition]:
    """Return the places without their offsets."""
    return {(place.topic, place.partition) for place in places}


def raise_partition_errors(committed: Iterable[TopicPartition] | None) -> None:
    """Raise KafkaException for the first partition whose offset was not committed."""
    for place in committed or ():
        if place.error is not None:
            raise KafkaException(place.error)


def _log_uncommitted(error: KafkaException) -> None:
    log.warning("offsets not committed", code=error.args[0].name(), why=error.args[0].str())
