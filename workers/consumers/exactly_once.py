"""Delivery in transactions: what comes of messages and the offset behind them get into Kafka together, or not at all.

Each owned partition has a producer with a transactional id of its own, ``<group>:<topic>:<partition>``. Whoever is
given the partition makes that producer anew, which ends the transaction that a dead owner has left open and fences one
that still believes to be the owner. Readers that read committed messages only (librdkafka's default,
``isolation.level=read_committed``) never see what was not committed.

    1. begin
    2. send what comes of the messages, dead letters too
    3. send the offset, with the generation of the group: a member that was put out of it is refused
    4. commit, which waits until Kafka has everything

Whatever fails before the last step aborts the transaction, and the messages are tried again. Where the last step does
not tell how it ended, nobody may guess: the consumer ends, and whoever takes the partition asks Kafka.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from consumers.aside import Aside, NoAnswer
from consumers.batch import Batch
from consumers.calls import Item, Outcome, blame
from consumers.config import ConsumerConfig
from consumers.delivery import NEVER, Destinations, OffsetCommit
from consumers.holds import Partition
from consumers.stop import OUTPUTS, Stop
from producers.kafka_producer import Encoded
from telemetry.errors import DeliveryError, FatalKafkaError, TransactionUnknown
from telemetry.kafka_config import explain_refusal

_REQUEST = 15.0
"""Seconds for one step of a transaction."""
_STEP = 1.0
"""Seconds after which a commit that takes long is looked at again."""
_POLL = 0.05

log = structlog.get_logger(__name__)


class ExactlyOnce:
    """Sends for one consumer, an iteration's messages of one partition in one transaction."""

    by_partition = True

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
        self._aside = Aside("send-offset")
        self._beat = beat
        self._producers: dict[Partition, Producer] = {}
        self._producer: Producer | None = None
        self._sent: list[tuple[Outcome, list[Encoded]]] = []
        self._failed: dict[int, KafkaError] = {}
        self.problem: str | None = None

    def take(self, partitions: Sequence[Partition]) -> None:
        """End what dead owners of ``partitions`` have left open, before their offsets are read."""
        # All of them have the time of one: the group waits for this member meanwhile.
        give_up = time.monotonic() + _REQUEST
        for partition in partitions:
            try:
                self._producers[partition] = self._make_producer(partition, give_up)
            except KafkaException as error:
                # Until one can be made, the partition waits.
                self._note_problem(partition, error.args[0])

    def drop(self, partitions: Sequence[Partition]) -> None:
        """Leave the producers of partitions that somebody else has now."""
        for partition in partitions:
            self._producers.pop(partition, None)

    def begin(self, batch: Batch) -> None:
        """Choose the producer: by `confirm` the partition may be somebody else's, who fences this one by then."""
        (partition,) = batch.last
        self._producer = self._producers.get(partition)
        if self._producer is None:
            self.take([partition])
            self._producer = self._producers.get(partition)

    def send(self, outcome: Outcome) -> None:
        """Keep ``outcome``: whether it may be sent shows when all of its partition are there."""
        self._sent.append((outcome, self._destinations.build_messages(outcome, datetime.now(UTC))))

    def confirm(self, batch: Batch, commit: OffsetCommit) -> Mapping[Partition, int]:
        """Commit what was sent for ``batch``, which is of one partition, and the offset behind it."""
        messages = {id(outcome): encoded for outcome, encoded in self._sent}
        sent = [outcome for outcome, _ in self._sent]
        self._sent = []
        ((partition, last),) = batch.last.items()
        done = len(batch)
        if any(outcome.whole for outcome in sent):
            covered = {id(item) for outcome in sent for item in outcome.items}
            if not covered.issuperset(map(id, batch.dead)):
                return {}
        else:
            done, sent = choose_whole(batch.items, sent)
            if not done:
                return {}
            last = batch.items[done - 1].record.offset
        offset = last + 1
        self._failed.clear()
        producer = self._producer
        if producer is None or self._producers.get(partition) is not producer:
            return {}
        try:
            producer.begin_transaction()
            for outcome in sent:
                for message in messages[id(outcome)]:
                    self._produce(producer, message, id(outcome))
            position = commit.build_offset(partition, offset, messages=done)
            self._send_offset(producer, position, commit.get_group_metadata())
            self._commit(producer)
        except KafkaException as error:
            self._abort(partition, error.args[0])
            self._blame(sent)
            return {}
        for outcome in sent:
            outcome.finish()
        self.problem = None
        return {partition: offset}

    def close(self) -> None:
        """Leave the producers; a transaction that is still open is aborted by Kafka or by the next owner."""
        self._producers.clear()
        self._sent.clear()
        self._aside.close()
        # The next start is not held up by what this one has left behind.
        self._aside = Aside("send-offset")

    def _make_producer(self, partition: Partition, give_up: float) -> Producer:
        topic, number = partition
        properties = self._config.to_transactional_producer_config().to_librdkafka() | {
            "transactional.id": f"{self._config.group_id}:{topic}:{number}",
            "logger": logging.getLogger("librdkafka"),
            "delivery.report.only.error": True,
        }
        try:
            producer = Producer(properties)
        except KafkaException as error:
            raise explain_refusal(self._config, error.args[0].str()) from error
        while True:
            try:
                producer.init_transactions(_STEP)
            except KafkaException as error:
                self._beat()
                if not error.args[0].retriable() or self._stop.is_asked() or time.monotonic() >= give_up:
                    raise
            else:
                return producer

    def _send_offset(self, producer: Producer, position: TopicPartition, group: object) -> None:
        # Aside: in librdkafka this call may outlast its timeout, for ever (issue 5456).
        give_up = time.monotonic() + _REQUEST + _STEP
        try:
            self._aside.call(
                lambda: producer.send_offsets_to_transaction([position], group, _REQUEST),
                lambda: time.monotonic() < give_up,
            )
        except NoAnswer:
            raise FatalKafkaError(
                f"Kafka's coordinator has not taken an offset into a transaction for {_REQUEST:.0f} s"
            ) from None

    def _commit(self, producer: Producer) -> None:
        may_go_on = self._stop.make_patience(OUTPUTS)
        while True:
            self._beat()
            try:
                producer.commit_transaction(_STEP)
            except KafkaException as error:
                problem = error.args[0]
                if problem.txn_requires_abort():
                    raise
                if not problem.retriable() or not may_go_on():
                    raise TransactionUnknown(
                        f"nobody knows whether Kafka has committed a transaction: {problem.str()}"
                    ) from error
                self.problem = f"a transaction is not committed yet: {problem.str()}"
            else:
                return

    def _produce(self, producer: Producer, message: Encoded, outcome: int) -> None:
        topic, value, key, headers = message
        failed = partial(self._note_failure, outcome)
        may_go_on = self._stop.make_patience(OUTPUTS)
        while True:
            try:
                producer.produce(topic, value, key, headers=headers, on_delivery=failed)  # type: ignore[arg-type]
            except BufferError as error:
                if not may_go_on():
                    raise KafkaException(KafkaError(KafkaError._QUEUE_FULL)) from error
                producer.poll(_POLL)
                self._beat()
            except KafkaException as error:
                self._failed[outcome] = error.args[0]
                raise
            else:
                return

    def _note_failure(self, outcome: int, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed.setdefault(outcome, error)

    def _blame(self, sent: Sequence[Outcome]) -> None:
        for outcome in sent:
            error = self._failed.get(id(outcome))
            if error is not None and error.name() in NEVER:
                blame(outcome, DeliveryError(error.str(), code=error.name()))
        self._failed.clear()

    def _abort(self, partition: Partition, error: KafkaError) -> None:
        self._note_problem(partition, error)
        producer = self._producers.get(partition)
        if producer is None:
            return
        if not error.fatal():
            with suppress(KafkaException):
                producer.abort_transaction(_REQUEST)
                return
        # Fenced, or beyond help: the next try makes a new one, if the group still gives us the partition.
        del self._producers[partition]

    def _note_problem(self, partition: Partition, error: KafkaError) -> None:
        self.problem = f"{partition[0]}[{partition[1]}]: no transaction: {error.str()}"
        log.warning(
            "transaction failed", topic=partition[0], partition=partition[1], code=error.name(), why=error.str()
        )


def choose_whole(items: Sequence[Item], outcomes: Sequence[Outcome]) -> tuple[int, list[Outcome]]:
    """Return how many of ``items``, from the first on, may be committed, and the outcomes that belong to them.

    An offset says that everything before it is done. An outcome with a message behind one that has to wait is left out,
    whole: sent now, it would be sent again.
    """
    places = {id(item): place for place, item in enumerate(items)}
    covered = {id(item) for outcome in outcomes for item in outcome.items}
    done = next((place for place, item in enumerate(items) if not item.done and id(item) not in covered), len(items))
    chosen = list(outcomes)
    while True:
        beyond = [outcome for outcome in chosen if any(places[id(item)] >= done for item in outcome.items)]
        if not beyond:
            return done, chosen
        done = min(done, *(places[id(item)] for outcome in beyond for item in outcome.items))
        left_out = set(map(id, beyond))
        chosen = [outcome for outcome in chosen if id(outcome) not in left_out]
