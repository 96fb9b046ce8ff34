"""Delivery as it is by default: what comes of a message is in Kafka before its offset moves.

A process that dies in between has sent it and not committed: the next one sends it again, with the same ``id``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from consumers.batch import Batch
from consumers.calls import Outcome, blame
from consumers.config import ConsumerConfig
from consumers.delivery import NEVER, Destinations, OffsetCommit
from consumers.holds import Partition
from consumers.stop import OUTPUTS, Stop
from producers.kafka_producer import KafkaProducer
from telemetry import metrics
from telemetry.errors import DeliveryError, FatalKafkaError, QueueFull

_FLUSH = 1.0


class AtLeastOnce:
    """Sends for one consumer. Its producer is made when the first message goes out: most consumers never send.

    ``beat`` is called while it waits for Kafka, which may be away for long. What Kafka has not taken when ``stop`` has
    no more time for it is done again by the next owner.
    """

    by_partition = False

    def __init__(
        self,
        config: ConsumerConfig,
        destinations: Destinations,
        *,
        stop: Stop,
        beat: Callable[[], None],
    ) -> None:
        self._config = config
        self._destinations = destinations
        self._stop = stop
        self._beat = beat
        self._producer: KafkaProducer | None = None
        self._sent: list[Outcome] = []
        self._failed: dict[int, DeliveryError] = {}
        self.problem: str | None = None

    def take(self, partitions: Sequence[Partition]) -> None:
        """Nothing to get ready."""

    def drop(self, partitions: Sequence[Partition]) -> None:
        """Nothing to forget."""

    def begin(self, batch: Batch) -> None:
        """Nothing to get ready."""

    def send(self, outcome: Outcome) -> None:
        """Queue what ``outcome`` asks for: it goes out while the next messages are handled."""
        messages = self._destinations.build_messages(outcome, datetime.now(UTC))
        self._sent.append(outcome)
        if not messages:
            return
        fail = partial(self._fail, id(outcome))
        try:
            self._get_producer(messages[0][0]).produce_encoded(messages, fail)
        except FatalKafkaError as error:
            fail(DeliveryError(str(error), code="_FATAL", fatal=True))
        except QueueFull as error:
            fail(error)

    def confirm(self, batch: Batch, commit: OffsetCommit) -> Mapping[Partition, int]:
        """Wait until every delivery is reported; what Kafka did not take leaves its messages undone."""
        self._await_deliveries()
        for outcome in self._sent:
            error = self._failed.get(id(outcome))
            if error is None:
                outcome.finish()
            elif error.code in NEVER:
                blame(outcome, error)
        self._sent.clear()
        self._failed.clear()
        if self._producer is not None and self._producer.fatal_error is not None:
            self._leave_producer()
        return {}

    def close(self) -> None:
        """Leave the producer. Everything that matters was waited for before."""
        self._sent.clear()
        self._failed.clear()
        self._leave_producer()

    def _await_deliveries(self) -> None:
        producer = self._producer
        if producer is None:
            return
        may_go_on = self._stop.make_patience(OUTPUTS)
        metrics.PRODUCER_QUEUE.set(len(producer))
        while left := producer.flush(_FLUSH / 10 if self._stop.is_asked() else _FLUSH):
            metrics.PRODUCER_QUEUE.set(left)
            self.problem = f"{left} messages are not in Kafka yet"
            self._beat()
            if not may_go_on():
                # What is on its way may or may not arrive, and its report comes too late to tell.
                unknown = DeliveryError("Kafka has not confirmed it before the end", code="_PURGE_INFLIGHT")
                for outcome in self._sent:
                    self._failed.setdefault(id(outcome), unknown)
                producer.purge()
                return
        metrics.PRODUCER_QUEUE.set(0)
        if not self._failed:
            self.problem = None

    def _get_producer(self, topic: str) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(self._config.to_producer_config(), topic)
        return self._producer

    def _leave_producer(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer = None

    def _fail(self, outcome: int, error: DeliveryError) -> None:
        if error.code in NEVER or outcome not in self._failed:
            self._failed[outcome] = error
        self.problem = str(error)
