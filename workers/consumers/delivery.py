"""What a consumer sends before its offsets move: outgoing messages and dead letters.

`Delivery` is the interface of the two ways to do that: `consumers.at_least_once` and `consumers.exactly_once`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from confluent_kafka import TopicPartition

from consumers.batch import Batch
from consumers.calls import Item, Outcome
from consumers.holds import Partition
from telemetry.dead_letters import build_dead_letter
from telemetry.errors import HandlerError

NEVER = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_RECORD"})
"""librdkafka's names of errors that the same message meets each time."""


class Sent(NamedTuple):
    """A message on its way to Kafka, in bytes."""

    topic: str
    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where a consumer's messages go: its group's name for dead letters, and its topics."""

    group: str
    output_topic: str | None
    dlq_topic: str | None

    def build_messages(self, outcome: Outcome, at: datetime) -> Iterator[Sent]:
        """Yield what ``outcome`` asks for, dead letters last.

        Raises HandlerError where something has nowhere to go: to skip it would be to lose it.
        """
        for topic, value, key, headers in outcome.outgoing:
            target = topic or self.output_topic
            if target is None:
                raise HandlerError(
                    "OutputTopicMissing",
                    "the handler gave a message without a topic, and no output topic is set: set CONSUMER_OUTPUT_TOPIC",
                )
            yield Sent(target, value, key, headers)  # type: ignore[arg-type]  # calls.py has made bytes of them
        for item in outcome.items:
            if item.cause is not None:
                yield self._build_dead_letter(item, at)

    def _build_dead_letter(self, item: Item, at: datetime) -> Sent:
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
        return Sent(self.dlq_topic, letter.value, record.key, letter.headers)


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

    def send(self, outcome: Outcome) -> None:
        """Take what ``outcome`` asks for."""

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
