"""Record in, acknowledged by Kafka, answer out: what every way into the hub stands on.

Whoever takes a message from a device hands it to `Intake.submit` and answers the device from the callback, never
before. What is too large for the raw topic goes to the dead letters, and counts as taken once it is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Literal, cast

import structlog
from confluent_kafka import KafkaError, Message

from ingestion.raw_producer import RawProducer
from ingestion.record import Header, RawRecord
from ingestion.settings import IngestionSettings
from producers.config import ProducerConfig
from producers.kafka_producer import explain_failure
from telemetry import metrics
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES, Cause, build_dead_letter
from telemetry.errors import DeliveryError, FatalKafkaError, QueueFull
from telemetry.names import MAX_MESSAGE_BYTES

OnTaken = Callable[[DeliveryError | None], None]
"""Called once per message, with None when Kafka has it; else nobody has it but the sender."""

FOR_EVER = 0

_Form = Literal["raw", "dead", "cut"]
"""How a message is sent: to the raw topic, to the dead letters as it is, or to them with its first kilobyte."""
_SMALLER: dict[_Form, Literal["dead", "cut"]] = {"raw": "dead", "dead": "cut"}

log = structlog.get_logger(__name__)


class Intake:
    """Hands records to Kafka; ``source`` (``mqtt``, ``http``) and ``name`` mark its metrics and dead letters.

    A message is tried for ``timeout_ms`` milliseconds, or for ever: who has a slot at a broker must not give one up.
    """

    def __init__(
        self,
        config: ProducerConfig,
        settings: IngestionSettings,
        *,
        source: str,
        name: str,
        timeout_ms: int = FOR_EVER,
    ) -> None:
        self._settings = settings
        self._name = name
        self._producer = RawProducer(
            config.model_copy(update={"message_timeout_ms": timeout_ms, "message_max_bytes": DLQ_MAX_MESSAGE_BYTES}),
            settings.topic,
        )
        self._lock = threading.Lock()
        self._queued = self._queued_bytes = self._newly_accepted = 0
        self._accepted = metrics.INGESTION_MESSAGES.labels(source, "accepted")
        self._too_large = metrics.INGESTION_MESSAGES.labels(source, "too_large")
        self._failed = metrics.INGESTION_MESSAGES.labels(source, "failed")

    def submit(self, record: RawRecord, on_taken: OnTaken) -> None:
        """Send ``record``; ``on_taken`` is called from `poll` or `flush`, or at once where it can't go."""
        self._submit(record, on_taken)

    def submit_all(self, records: Iterable[RawRecord], on_taken: Callable[[int, DeliveryError | None], None]) -> None:
        """Send ``records`` as `submit` does; ``on_taken`` is told the place of each in them, from 0."""
        full: QueueFull | None = None
        for place, record in enumerate(records):
            if full is not None:
                # None overtakes those that found no room.
                self._failed.inc()
                on_taken(place, full)
            else:
                full = self._submit(record, partial(on_taken, place))

    def poll(self, timeout: float) -> None:
        """Serve the answers that have come, waiting up to ``timeout`` seconds for one."""
        self._producer.poll(timeout)
        self._tell_metrics()

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until Kafka has everything; return how many messages it does not have."""
        left = self._producer.flush(timeout)
        self._tell_metrics()
        metrics.PRODUCER_QUEUE.set(left)
        return left

    @property
    def queued(self) -> int:
        """How many messages wait for Kafka's acknowledgement."""
        return self._queued

    @property
    def queued_bytes(self) -> int:
        """How many bytes of values wait for Kafka's acknowledgement: what a Kafka that is away costs in memory."""
        return self._queued_bytes

    @property
    def fatal_error(self) -> str | None:
        """Why nothing can be sent any more, or None."""
        return self._producer.fatal_error

    def find_liveness_problem(self) -> str | None:
        """Return why only a new process can send, or None: a check for ``/healthz``."""
        return self._producer.find_liveness_problem()

    def find_topic_problem(self, timeout: float) -> str | None:
        """Return why no message could be sent now, or None; asks Kafka, for up to ``timeout`` seconds."""
        for topic in (self._settings.topic, self._settings.dlq_topic):
            problem = self._producer.find_topic_problem(topic, timeout)
            if problem is not None:
                return problem
        return None

    def close(self) -> None:
        """Give up what Kafka does not have: it was not acknowledged to anybody, its sender still has it."""
        self._producer.purge()

    def _submit(self, record: RawRecord, on_taken: OnTaken) -> QueueFull | None:
        """Send ``record``, and return why there was no room for it, if so."""
        if len(record.value) > MAX_MESSAGE_BYTES:
            return self._submit_too_large(record, on_taken, "dead")
        return self._produce(self._settings.topic, record, _Delivery(self, on_taken, "raw", len(record.value)))

    def _submit_too_large(self, record: RawRecord, on_taken: OnTaken, form: Literal["dead", "cut"]) -> QueueFull | None:
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
            max_bytes=DLQ_MAX_MESSAGE_BYTES if form == "dead" else 0,
        )
        value = letter.value or b""
        return self._produce(
            self._settings.dlq_topic,
            RawRecord(record.key, value, letter.headers),
            _Delivery(self, on_taken, form, len(value)),
        )

    def _produce(self, topic: str, record: RawRecord, delivery: _Delivery) -> QueueFull | None:
        with self._lock:
            self._queued += 1
            self._queued_bytes += delivery.size
        try:
            self._producer.send(topic, record, delivery)
        except DeliveryError as error:
            delivery.fail(error)
            return error if isinstance(error, QueueFull) else None
        except FatalKafkaError as error:
            delivery.fail(DeliveryError(str(error), code="_FATAL", fatal=True))
        return None

    def _settle(self, delivery: _Delivery, error: DeliveryError | None, message: Message | None) -> None:
        with self._lock:
            self._queued -= 1
            self._queued_bytes -= delivery.size
            if error is None and delivery.form == "raw":
                self._newly_accepted += 1
        next_form = _SMALLER.get(delivery.form) if error is not None and error.code == "MSG_SIZE_TOO_LARGE" else None
        if next_form is not None and message is not None:
            # Kafka's limit is below ours. The record comes back with the report: it is not kept beside librdkafka's.
            self._submit_too_large(_read_record(message), delivery.on_taken, next_form)
            return
        if error is not None:
            self._failed.inc()
        elif delivery.form != "raw":
            self._too_large.inc()
        delivery.on_taken(error)

    def _tell_metrics(self) -> None:
        """Count what Kafka has taken: once for many, since a counter's lock costs as much as the rest of a report."""
        with self._lock:
            new, self._newly_accepted = self._newly_accepted, 0
        if new:
            self._accepted.inc(new)


class _Delivery:
    """A message on its way, and what its delivery report calls."""

    __slots__ = ("_intake", "form", "on_taken", "size")

    def __init__(self, intake: Intake, on_taken: OnTaken, form: _Form, size: int) -> None:
        self._intake = intake
        self.on_taken = on_taken
        self.form = form
        self.size = size

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        try:
            self._intake._settle(self, None if error is None else explain_failure(error, message), message)
        except Exception:
            # Let through, it would hit whichever thread happens to poll, for a message that is not its own.
            log.exception("answer failed", topic=message.topic())

    def fail(self, error: DeliveryError) -> None:
        """Say that it did not even set out."""
        self._intake._settle(self, error, None)


def _read_record(message: Message) -> RawRecord:
    key = message.key()
    headers = cast("list[Header]", message.headers() or [])
    return RawRecord(None if key is None else key.decode("utf-8", "replace"), message.value() or b"", list(headers))
