"""A producer's settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telemetry.kafka_config import KafkaConfig, PropertyValue


class ProducerConfig(KafkaConfig):
    """How to reach Kafka and how to send (``KAFKA_*``).

    Not to be chosen: a message counts as delivered once all in-sync replicas have it (``acks=all``), and a retry
    doubles none (``enable.idempotence=true``).
    """

    linger_ms: float = Field(default=5, ge=0, le=900_000)
    """How long, in milliseconds, messages wait for others to share a request."""
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "lz4"
    """How batches are compressed."""
    message_timeout_ms: int = Field(default=300_000, ge=0)
    """How long, in milliseconds, a message is tried before it counts as failed; 0 is for ever."""
    message_max_bytes: int = Field(default=1_114_112, ge=1000, le=1_000_000_000)
    """Largest message, in bytes: 1 MiB and 64 KiB, as the topics take."""
    queue_max_messages: int = Field(default=100_000, ge=1, le=10_000_000)
    """Most messages that wait in the producer."""
    queue_max_kbytes: int = Field(default=262_144, ge=1, le=2_147_483_647)
    """Most bytes, in KiB, that wait in the producer."""

    def _own_properties(self) -> dict[str, PropertyValue]:
        return {
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": self.linger_ms,
            "compression.type": self.compression_type,
            "message.timeout.ms": self.message_timeout_ms,
            "message.max.bytes": self.message_max_bytes,
            "queue.buffering.max.messages": self.queue_max_messages,
            "queue.buffering.max.kbytes": self.queue_max_kbytes,
        }
