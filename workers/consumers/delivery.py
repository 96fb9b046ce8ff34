"""What a consumer sends before its offsets move: outgoing messages and dead letters.

`Delivery` is the interface of the two ways to do that: `consumers.at_least_once` and `consumers.exactly_once`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from confluent_kafka import TopicPartition

from consumers.batch import Batch
from consumers.calls import Item, Outcome
from consumers.holds import Partition
from producers.kafka_producer import Encoded
from telemetry.dead_letters import build_dead_letter
from telemetry.errors import HandlerError

NEVER = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_RECORD"})
"""librdkafka's names of errors that the same message meets each time."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where a consumer's messages go: its group's name for dead letters, and its topics."""

    group: str
    output_topic: str | None
    dlq_topic: str | None

    def build_messages(self, outcome: Outcome, at: datetime) -> list[Encoded]:
        """Return what ``outcome`` asks for, dead letters last.

        Raises HandlerError where something has nowhere to go: to skip it would be to lose it.
        """
        default = self.output_topic
        # calls.py has made bytes of them.
        messages = [(topic or default, value, key, headers) for topic, value, key, headers in outcome.outgoing]
        if default is None and any(topic is None for topic, *_ in messages):
            raise HandlerError(
                "OutputTopicMissing",
                "the handler gave a message without a topic, and no output topic is set: set CONSUMER_OUTPUT_TOPIC",
            )
        letters = [self._build_dead_letter(item, at) for item in outcome.items if item.cause is not None]
        return cast("list[Encoded]", messages) + letters

    def _build_dead_letter(self, item: Item, at: datetime) -> Encoded:
        record, cause = item.record, item.cause
        assert cause is not None  # noqa: S101  # what the caller asks for
        if self.dlq_topic is None:
            raise HandlerError(
                "MessageFailed",
                f"{record.topic}[{record.partition}] offset {record.offset} can't be handled "
                f"({cause.reason}: {cause.message}), and no dead-letter topic is set",
            )
        letter = build_dead_letter(
            item.raw,
            record.headers,
            cause,
            consumer=self.group,
            at=at,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )
        return self.dlq_topic, letter.value, record.key, letter.headers


class Delivery(Protocol):
    """Sends what comes of messages, and says which of them are done."""

    by_partition: bool
    """Whether an outcome may only hold messages of one partition."""
    problem: str | None
    """Why Kafka does not take what was last sent, or None."""

    def take(self, partitions: Sequence[Partition]) -> None:
        """Get ready for partitions that this member owns from now on."""

    def drop(self, partitions: Sequence[Partition]) -> None:
        """Forget partitions that somebody else has now."""

    def begin(self, batch: Batch) -> None:
        """Get ready for the outcomes of ``batch``, whose partitions are ours at this moment."""

    def send(self, outcome: Outcome) -> None:
        """Take what ``outcome`` asks for. Raises HandlerError, and takes nothing, where that has nowhere to go."""

    def confirm(self, batch: Batch, commit: OffsetCommit) -> Mapping[Partition, int]:
        """Wait until Kafka has what was sent for ``batch``; set ``done`` on it, or on those of its items that are.

        Return the offsets that it has committed with it, by partition: none where that is left to the caller.
        """

    def close(self) -> None:
        """Leave. What Kafka does not have counts as not sent."""


class OffsetCommit(Protocol):
    """What a transaction needs to know of the consumer."""

    def build_offset(self, partition: Partition, offset: int, *, messages: int) -> TopicPartition:
        """Return what to commit when ``messages`` more are done, all before ``offset``."""

    def get_group_metadata(self) -> Any:
        """Return who is asking: confluent-kafka's group metadata."""
