"""What a consumer sends before its offsets move: outgoing messages and dead letters, and whether Kafka took them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from confluent_kafka import Message

from consumers.calls import Outcome
from consumers.config import ConsumerConfig
from producers.kafka_producer import KafkaProducer
from telemetry.dead_letters import build_dead_letter
from telemetry.errors import DeliveryError, FatalKafkaError, HandlerError

_NEVER = frozenset({"MSG_SIZE_TOO_LARGE", "INVALID_RECORD"})
"""librdkafka's names of errors that the same message meets each time."""

_Built = tuple[str, str | bytes | None, Any, Sequence[tuple[str, str | bytes | None]]]


class Outputs:
    """Sends for one consumer. Its producer is made when the first message goes out: most consumers never send."""

    def __init__(self, config: ConsumerConfig, *, output_topic: str | None, dlq_topic: str | None) -> None:
        self._config = config
        self._output_topic = output_topic
        self.dlq_topic = dlq_topic
        self._producer: KafkaProducer | None = None
        self._failed: dict[int, DeliveryError] = {}
        self.problem: str | None = None
        """Why Kafka does not take what was last sent, or None."""

    def send(self, outcome: Outcome, *, group: str, at: datetime) -> None:
        """Queue what ``outcome`` asks for; `has_failed` tells, after `flush`, whether Kafka has all of it."""
        report = partial(self._delivered, id(outcome))
        for topic, key, value, headers in self._build_messages(outcome, group=group, at=at):
            try:
                self._get_producer(topic).produce(value, key, headers, topic=topic, on_delivery=report)
            except DeliveryError as error:
                self._fail(id(outcome), error)
            except FatalKafkaError as error:
                self._fail(id(outcome), DeliveryError(str(error), code="_FATAL", fatal=True))

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds for deliveries; return how many are still to come."""
        left = self._producer.flush(timeout) if self._producer is not None else 0
        if left:
            self.problem = f"{left} messages are not in Kafka yet"
        elif not self._failed:
            self.problem = None
        return left

    @property
    def in_use(self) -> bool:
        """Whether anything was ever sent."""
        return self._producer is not None

    def has_failed(self, outcome: Outcome) -> bool:
        """Return whether something of ``outcome`` is not in Kafka."""
        return id(outcome) in self._failed

    def find_refusal(self, outcome: Outcome) -> DeliveryError | None:
        """Return why Kafka will never take something of ``outcome``, or None where trying again may help."""
        error = self._failed.get(id(outcome))
        return error if error is not None and error.code in _NEVER else None

    def clear(self) -> None:
        """Forget the failures of an iteration that is over, and a producer that can't go on."""
        self._failed.clear()
        if self._producer is not None and self._producer.fatal_error is not None:
            self._producer.purge()
            self._producer = None

    def give_up(self) -> None:
        """Stop waiting: what Kafka does not have counts as failed."""
        if self._producer is not None:
            self._producer.purge()

    def close(self) -> None:
        """Leave the producer. Everything that matters was flushed before."""
        self.give_up()
        self._producer = None

    def _build_messages(self, outcome: Outcome, *, group: str, at: datetime) -> Iterator[_Built]:
        for outgoing in outcome.outgoing:
            topic = outgoing.topic or self._output_topic
            if topic is None:
                raise HandlerError(
                    "OutputTopicMissing",
                    "the handler gave a message without a topic, and no output topic is set: set CONSUMER_OUTPUT_TOPIC",
                )
            yield topic, outgoing.key, outgoing.value, outgoing.headers
        for item in outcome.items:
            if item.cause is not None and self.dlq_topic is not None:
                record = item.record
                letter = build_dead_letter(
                    item.raw,
                    record.headers,
                    item.cause,
                    consumer=group,
                    at=at,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                )
                yield self.dlq_topic, record.key, letter.value, letter.headers

    def _get_producer(self, topic: str) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(self._config.to_producer_config(), topic)
        return self._producer

    def _delivered(self, outcome: int, error: DeliveryError | None, _: Message) -> None:
        if error is not None:
            self._fail(outcome, error)

    def _fail(self, outcome: int, error: DeliveryError) -> None:
        if error.code in _NEVER or outcome not in self._failed:
            self._failed[outcome] = error
        self.problem = str(error)
