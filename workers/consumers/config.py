"""A consumer's settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from producers.config import ProducerConfig
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES
from telemetry.kafka_config import KafkaConfig, PropertyValue

_MEBIBYTE = 1024 * 1024
_TRANSACTION_TIMEOUT_MS = 60_000
"""Kafka's own default of ``transaction.timeout.ms``."""


class ConsumerConfig(KafkaConfig):
    """How to reach Kafka and how to read (``KAFKA_*``). Offsets are stored by us, after handling, never before."""

    group_id: str = Field(default="iot-hub", min_length=1, max_length=255)
    """The consumer group: those who share it share the messages."""
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where to begin in a partition for which the group has committed nothing."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """``consumer`` is KIP-848, for brokers from 4.0 on; ``classic`` rebalances cooperatively too."""
    session_timeout_ms: int = Field(default=10_000, ge=1000, le=3_600_000)
    """How long, in milliseconds, a dead member keeps its partitions (classic protocol; else the broker says)."""
    heartbeat_interval_ms: int = Field(default=1000, ge=100)
    """How often, in milliseconds, a member says that it lives (classic protocol)."""
    max_poll_interval_ms: int = Field(default=300_000, ge=1000, le=86_400_000)
    """How long, in milliseconds, the group waits for a member that is silent, or that has something in hand still when
    partitions move."""
    auto_commit_interval_ms: int = Field(default=5000, ge=1)
    """How often, in milliseconds, offsets are committed with commit mode ``auto``."""

    @model_validator(mode="after")
    def _intervals_fit(self) -> ConsumerConfig:
        if self.group_protocol == "classic" and self.max_poll_interval_ms < self.session_timeout_ms:
            raise ValueError(
                f"KAFKA_MAX_POLL_INTERVAL_MS is {self.max_poll_interval_ms}: it must not be less than "
                f"KAFKA_SESSION_TIMEOUT_MS, which is {self.session_timeout_ms}"
            )
        return self

    def _own_properties(self) -> dict[str, PropertyValue]:
        ours: dict[str, PropertyValue] = {
            "group.id": self.group_id,
            "group.protocol": self.group_protocol,
            "auto.offset.reset": self.auto_offset_reset,
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": self.auto_commit_interval_ms,
            "max.poll.interval.ms": self.max_poll_interval_ms,
            "fetch.message.max.bytes": _MEBIBYTE,
            # A fetch has to hold the largest message of the largest topic, the dead letters.
            "receive.message.max.bytes": DLQ_MAX_MESSAGE_BYTES + 100 * _MEBIBYTE,
            "queued.max.messages.kbytes": 8 * 1024,
            "fetch.queue.backoff.ms": 20,
        }
        if self.group_protocol == "classic":
            ours |= {
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": self.session_timeout_ms,
                "heartbeat.interval.ms": self.heartbeat_interval_ms,
            }
        return ours

    @property
    def patience_seconds(self) -> float:
        """How long the group waits for a silent member: ``max.poll.interval.ms``, wherever it was set."""
        return float(self.properties.get("max.poll.interval.ms", self.max_poll_interval_ms)) / 1000

    @property
    def reads_uncommitted(self) -> bool:
        """Whether messages of transactions are read that were aborted, or still may be."""
        return self.properties.get("isolation.level") == "read_uncommitted"

    def to_producer_config(self) -> ProducerConfig:
        """Return the settings of the producer that sends this consumer's outgoing messages and dead letters.

        It never gives a message up by itself: an offset waits until Kafka has what came of it.
        """
        return ProducerConfig(
            **self._connection | {"properties": self.properties | {"delivery.report.only.error": True}},
            message_timeout_ms=0,
            message_max_bytes=DLQ_MAX_MESSAGE_BYTES,
        )

    def to_transactional_producer_config(self) -> ProducerConfig:
        """Return the settings of a producer whose messages get into Kafka in transactions, or not at all.

        It gives a message up together with its transaction, which Kafka ends after a minute.
        """
        return ProducerConfig(
            **self._connection, message_timeout_ms=_TRANSACTION_TIMEOUT_MS, message_max_bytes=DLQ_MAX_MESSAGE_BYTES
        )

    @property
    def _connection(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in KafkaConfig.model_fields}
