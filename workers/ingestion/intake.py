"""Record in, acknowledged by Kafka, answer out: what every way into the hub stands on.

Whoever takes a message from a device hands it to `Intake.submit` and answers the device from the callback, never
before. What is too large for the raw topic goes to the dead letters, and counts as taken once it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from confluent_kafka import Message

from ingestion.record import RawRecord
from ingestion.settings import IngestionSettings
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from telemetry import metrics
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES, Cause, build_dead_letter
from telemetry.errors import DeliveryError, FatalKafkaError
from telemetry.names import MAX_MESSAGE_BYTES

OnTaken = Callable[[DeliveryError | None], None]
"""Called once per message, with None when Kafka has it; else nobody has it but the sender."""

log = structlog.get_logger(__name__)


class Intake:
    """Hands records to Kafka; ``source`` (``mqtt``, ``http``) and ``name`` mark its metrics and dead letters."""

    def __init__(self, config: ProducerConfig, settings: IngestionSettings, *, source: str, name: str) -> None:
        self._settings = settings
        self._name = name
        self._producer = KafkaProducer(_without_timeout(config), settings.topic)
        self._accepted = metrics.INGESTION_MESSAGES.labels(source, "accepted")
        self._too_large = metrics.INGESTION_MESSAGES.labels(source, "too_large")
        self._failed = metrics.INGESTION_MESSAGES.labels(source, "failed")

    def submit(self, record: RawRecord, on_taken: OnTaken) -> None:
        """Send ``record``; ``on_taken`` is called from `poll`, `flush`, a later `submit`, or at once if it can't go."""
        if len(record.value) > MAX_MESSAGE_BYTES:
            self._submit_too_large(record, on_taken)
            return

        def delivered(error: DeliveryError | None, _: Message) -> None:
            if error is None:
                self._accepted.inc()
                on_taken(None)
            elif error.code == "MSG_SIZE_TOO_LARGE":
                self._submit_too_large(record, on_taken)
            else:
                self._failed.inc()
                on_taken(error)

        self._produce(self._settings.topic, record, delivered, on_taken)

    def poll(self, timeout: float) -> None:
        """Serve the answers that have come, waiting up to ``timeout`` seconds for one."""
        self._producer.poll(timeout)

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until Kafka has everything; return how many messages it does not have."""
        left = self._producer.flush(timeout)
        metrics.PRODUCER_QUEUE.set(left)
        return left

    @property
    def queued(self) -> int:
        """How many messages wait for Kafka's acknowledgement."""
        return len(self._producer)

    @property
    def fatal_error(self) -> str | None:
        """Why nothing can be sent any more, or None."""
        return self._producer.fatal_error

    def close(self) -> None:
        """Give up what Kafka does not have: it was not acknowledged to anybody, its sender still has it."""
        self._producer.purge()

    def _submit_too_large(self, record: RawRecord, on_taken: OnTaken) -> None:
        cause = Cause(
            reason="too_large",
            message=f"the message has {len(record.value)} bytes, {self._settings.topic} takes {MAX_MESSAGE_BYTES}",
            stage="ingest",
            error_class="ingestion.intake.TooLarge",
        )
        letter = build_dead_letter(
            record.value,
            record.headers,
            cause,
            consumer=self._name,
            at=datetime.now(UTC),
            max_bytes=DLQ_MAX_MESSAGE_BYTES,
        )

        def delivered(error: DeliveryError | None, _: Message) -> None:
            (self._too_large if error is None else self._failed).inc()
            on_taken(error)

        self._produce(
            self._settings.dlq_topic, RawRecord(record.key, letter.value or b"", letter.headers), delivered, on_taken
        )

    def _produce(
        self,
        topic: str,
        record: RawRecord,
        delivered: Callable[[DeliveryError | None, Message], None],
        on_taken: OnTaken,
    ) -> None:
        try:
            self._producer.produce(
                record.value, record.key, record.headers, topic=topic, on_delivery=delivered, on_full="raise"
            )
        except DeliveryError as error:
            self._failed.inc()
            on_taken(error)
        except FatalKafkaError as error:
            on_taken(DeliveryError(str(error), code="_FATAL", fatal=True))


def _without_timeout(config: ProducerConfig) -> ProducerConfig:
    """A message is tried for ever: giving one up would strand its acknowledgement."""
    return config.model_copy(update={"message_timeout_ms": 0, "message_max_bytes": DLQ_MAX_MESSAGE_BYTES})
