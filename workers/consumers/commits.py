"""What an offset commit's errors mean to us."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, TopicPartition

REBALANCING = frozenset(
    {KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH}
)
"""The group is between two generations: the same commit works in a moment."""


def raise_partition_errors(committed: Iterable[TopicPartition] | None) -> None:
    """Raise KafkaException for the first partition whose offset was not committed."""
    for place in committed or ():
        if place.error is not None:
            raise KafkaException(place.error)
