"""The producer with a shorter way into it, for records that are bytes already.

`KafkaProducer.produce` checks, encodes and polls for each message, which costs as much as all the rest of a message's
way through ingestion. This is the one place that goes round it, and so knows what else a KafkaProducer has inside.
"""

from __future__ import annotations

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from ingestion.record import RawRecord
from producers.kafka_producer import PARTITION_UA, KafkaProducer
from telemetry.errors import FatalKafkaError, QueueFull

OnReport = Callable[[KafkaError | None, Message], None]
"""What confluent-kafka calls with a message's delivery report."""


class RawProducer(KafkaProducer):
    """A KafkaProducer that hands delivery reports on as they are; `explain_failure` of `producers` is for failures."""

    def send(self, topic: str, record: RawRecord, report: OnReport) -> None:
        """Queue a record whose headers are known to be good, and serve nothing.

        Raises QueueFull or another DeliveryError, or FatalKafkaError.
        """
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal)
        try:
            # By position, which is faster: partition, callback, a second name of it, timestamp, headers.
            self._send(topic, record.value, record.key, PARTITION_UA, report, None, 0, record.headers)  # type: ignore[arg-type]
        except BufferError:
            raise QueueFull(f"{topic}: the producer's queue is full; {self._room}") from None
        except KafkaException as error:
            raise self._refused(error.args[0], topic) from error

    def find_topic_problem(self, topic: str, timeout: float) -> str | None:
        """Return why nothing can be sent to ``topic`` now, or None; asks Kafka, for up to ``timeout`` seconds."""
        try:
            found = self._producer.list_topics(topic, timeout).topics[topic]
        except KafkaException as error:
            return f"Kafka does not answer: {error.args[0].str()}"
        return None if found.error is None else f"topic {topic}: {found.error.str()}"
