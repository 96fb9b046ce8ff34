"""What an offset commit's errors mean to us."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, TopicPartition

MOVED_ON = frozenset(
    {
        KafkaError._STATE,
        KafkaError._NO_OFFSET,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
    }
)
"""The partition has, or is about to have, another owner, who begins at the last commit: no use in trying again."""


def raise_partition_errors(committed: Iterable[TopicPartition] | None) -> None:
    """Raise KafkaException for the first partition whose offset was not committed."""
    for place in committed or ():
        if place.error is not None:
            raise KafkaException(place.error)
