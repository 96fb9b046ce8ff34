"""`KafkaConsumer`: the loop from Kafka to a handler, and the order of its steps.

One thread does everything: confluent-kafka serves rebalances inside `consume` and `poll`, so no step can be
interrupted by one. At-least-once follows from the order of `_work`: an offset moves only after its message was handled
and Kafka has what came of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

import orjson
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.calls import Handler, HandlerCalls, Item, Outcome, blame, build_item
from consumers.config import ConsumerConfig
from consumers.holds import Holds, Partition
from consumers.outputs import Outputs
from consumers.progress import Progress, to_partitions
from consumers.records import Record
from telemetry import metrics
from telemetry.errors import ConfigurationError, FatalKafkaError, HandlerError
from telemetry.names import check_topic_names

_LONGEST_BLOCK = 0.1
"""Longest single wait inside librdkafka, in seconds: a signal is served in between."""
_STOPPED_FLUSH = 10.0
"""Seconds that a stopping consumer gives Kafka to take what it has produced; what is not taken is done again later."""
_SPARE_AFTER = 5.0
"""Seconds after which a member that was given nothing counts as a spare one (KIP-848 never tells it so)."""

log = structlog.get_logger(__name__)


class KafkaConsumer:
    """Reads topics as a member of a group and gives each message to a handler.

        consumer = KafkaConsumer(config=ConsumerConfig(), topics=["telemetry.raw"], handler=PrintHandler())
        signal.signal(signal.SIGTERM, consumer.stop)
        consumer.start()

    ``consume_timeout`` is how long, in seconds, a batch may take to fill; ``batch_max_size`` bounds it. Without
    ``dlq_topic`` a message that can't be decoded or handled ends `start` with HandlerError; nothing is skipped.
    ``output_topic`` is where an `Outgoing` without a topic goes. With ``commit="manual"`` offsets are committed after
    each iteration, synchronously; with ``auto`` on librdkafka's interval, when partitions move and at the end.
    """

    def __init__(
        self,
        config: ConsumerConfig,
        topics: Sequence[str],
        handler: Handler,
        *,
        consume_timeout: float = 1.0,
        decode_json: bool = True,
        consume_batch: bool = False,
        batch_max_size: int = 100,
        commit: Literal["manual", "auto"] = "manual",
        dlq_topic: str | None = None,
        output_topic: str | None = None,
        max_attempts: int = 5,
    ) -> None:
        self._config = config
        self._topics = check_topic_names(topics)
        self._timeout = consume_timeout
        self._decode = decode_json and not getattr(handler, "wants_bytes", False)
        self._batch = consume_batch
        self._commit_each = commit == "manual"
        # Without batches and with a commit after each iteration, an iteration is one message.
        self._most = 1 if self._commit_each and not consume_batch else batch_max_size
        self._calls = HandlerCalls(handler, batch=consume_batch, max_attempts=max_attempts, stopping=self._is_stopping)
        self._outputs = Outputs(config, output_topic=output_topic, dlq_topic=dlq_topic)
        self._begin()
        self._stopping = False
        self._turned = time.monotonic()
        self._consumer: Consumer | None = None

    def start(self) -> None:
        """Consume until `stop`, then leave the group and close the client. Raises what can't be gone on with."""
        if self._consumer is not None:
            raise ConfigurationError("this consumer runs already; call stop() and wait for start() to return")
        self._begin()
        client = self._consumer = self._connect()
        try:
            client.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
            log.info("consuming", topics=self._topics, group=self._config.group_id)
            while not self._stopping:
                self._turned = self._polled = time.monotonic()
                items, isolate = self._next_items(client)
                if items:
                    self._work(client, items, isolate)
                elif self._progress.has_uncommitted:
                    self._progress.commit(client)
        finally:
            self._close(client)

    def stop(self, *_: object) -> None:
        """Ask the loop to leave after its current iteration. Takes the arguments of a signal handler."""
        self._stopping = True

    def find_readiness_problem(self) -> str | None:
        """Return why this consumer is not at work, or None: it is in its group, and nothing it holds is stuck."""
        if not self._settled:
            return f"the group {self._config.group_id} has not given this member its partitions yet"
        return self._outputs.problem or self._holds.problem

    def find_liveness_problem(self) -> str | None:
        """Return why only a restart can help, or None: the loop turns."""
        still = time.monotonic() - self._turned
        limit = self._config.max_poll_interval_ms / 1000
        return f"the loop has not turned for {still:.0f} s" if still > limit else None

    def _begin(self) -> None:
        """Own nothing, have nothing in hand."""
        self._holds = Holds(time.monotonic)
        self._inbox: list[Message] = []
        self._progress = Progress(commit_each=self._commit_each)
        self._tried_again = False
        self._paused = False
        self._polled = time.monotonic()
        self._settled = False

    def _is_stopping(self) -> bool:
        return self._stopping

    def _connect(self) -> Consumer:
        properties = self._config.to_librdkafka() | {
            "enable.auto.commit": not self._commit_each,
            "error_cb": _on_error,
            "stats_cb": self._on_statistics,
            "statistics.interval.ms": 1000 if self._config.group_protocol == "consumer" else 0,
            "logger": logging.getLogger("librdkafka"),
        }
        try:
            return Consumer(properties)
        except KafkaException as error:
            raise ConfigurationError(f"KAFKA_PROPERTIES: {error.args[0].str()}") from error

    # --- in: what to work on next ---

    def _next_items(self, client: Consumer) -> tuple[list[Item], bool]:
        """Return the next messages: those of a partition whose waiting is over, else new ones. Empty after a wait."""
        if self._holds.seconds_until_due() == 0:
            # The group is served first, which may take the waiting partition away; and what can go on takes turns with
            # what is tried again, however long that takes.
            self._accept(client.consume(max(1, self._most - len(self._inbox)), 0))
            if not (self._inbox and self._tried_again):
                due = self._holds.take_due()
                if due is not None:
                    self._tried_again = True
                    return due[1].items, due[1].isolate
        else:
            self._collect(client)
        self._tried_again = False
        messages, self._inbox = self._inbox, []
        return [self._make_item(message) for message in messages], False

    def _collect(self, client: Consumer) -> None:
        """Fill the inbox: wait for a first message, then, in batch mode, for a full batch, each at most the timeout."""
        until_due = self._holds.seconds_until_due()
        deadline = time.monotonic() + (self._timeout if until_due is None else min(self._timeout, until_due))
        filling = False
        while not self._stopping and len(self._inbox) < self._most:
            left = deadline - time.monotonic()
            room = self._most - len(self._inbox)
            if filling or left <= 0:
                wait = max(0.0, min(left, _LONGEST_BLOCK))
                self._accept(client.consume(room, wait))
                if left <= 0 or not self._batch or len(self._inbox) >= self._most:
                    return
            else:
                # Alone, the first message is not kept waiting for company that may not come.
                self._accept(client.consume(1, min(left, _LONGEST_BLOCK)))
                if self._inbox:
                    filling = True
                    if self._most == 1:
                        return
                    deadline = time.monotonic() + (self._timeout if self._batch else 0.0)

    def _accept(self, messages: Iterable[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._inbox.append(message)
            elif error.fatal():
                raise FatalKafkaError(f"the consumer can't go on: {error.str()}")
            elif error.code() != KafkaError._PARTITION_EOF:
                log.warning("consumer reports", code=error.name(), why=error.str(), topic=message.topic())

    def _make_item(self, message: Message) -> Item:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None  # noqa: S101  # a message without an error has its place
        assert partition is not None  # noqa: S101
        assert offset is not None  # noqa: S101
        headers = message.headers() or ()
        place = (topic, partition, offset, message.timestamp()[1])
        record = Record(message.value(), message.key(), headers, *place)  # type: ignore[arg-type]
        return build_item(record, decode=self._decode, group=self._config.group_id)

    # --- out: the order that makes it at-least-once ---

    def _work(self, client: Consumer, items: list[Item], isolate: bool) -> None:
        # 1. Hand the messages to the handler; send what it gives back, and the dead letters.
        sent, waits = self._hand_over(client, items, isolate)
        # 2. Wait until Kafka has all of it. What it did not take leaves its messages undone.
        self._confirm(client, sent)
        # 3. Per partition, move the offset over the messages that are done; hold the rest and whatever is behind it.
        by_partition: dict[Partition, list[Item]] = {}
        for item in items:
            by_partition.setdefault(item.partition, []).append(item)
        for partition, own in by_partition.items():
            if partition in self._progress.owned:
                self._settle(client, partition, own, waits.get(partition))
        metrics.CONSUMER_HELD_PARTITIONS.set(len(self._holds))
        if self._paused:
            client.resume([TopicPartition(*place) for place in self._progress.owned if place not in self._holds])
            self._paused = False
        # 4. Commit.
        self._progress.commit(client)

    def _hand_over(
        self, client: Consumer, items: list[Item], isolate: bool
    ) -> tuple[list[Outcome], dict[Partition, Outcome]]:
        """Return the outcomes whose messages were sent, and of each partition that has to wait why it has to."""
        waits: dict[Partition, Outcome] = {}
        sent: list[Outcome] = []
        for outcome in self._calls.run(items, isolate=isolate):
            self._turned = time.monotonic()
            if self._turned - self._polled > self._config.max_poll_interval_ms / 4000:
                self._stay_in_group(client)
            if outcome.retry is not None:
                waits.update((item.partition, outcome) for item in outcome.items)
            else:
                self._refuse_homeless(outcome)
                self._outputs.send(outcome, group=self._config.group_id, at=datetime.now(UTC))
                sent.append(outcome)
        return sent, waits

    def _confirm(self, client: Consumer, sent: list[Outcome]) -> None:
        if self._outputs.in_use:
            self._await_deliveries(client)
        for outcome in sent:
            if not self._outputs.has_failed(outcome):
                for item in outcome.items:
                    item.done = True
            elif (refusal := self._outputs.find_refusal(outcome)) is not None:
                blame(outcome, refusal)
        self._outputs.clear()

    def _settle(self, client: Consumer, partition: Partition, items: list[Item], wait: Outcome | None) -> None:
        undone = next((place for place, item in enumerate(items) if not item.done), len(items))
        if undone:
            self._progress.move(partition, items[undone - 1].record.offset + 1)
            self._holds.settle(partition)
            dead = [item.cause for item in items[:undone] if item.cause is not None]
            for cause in dead:
                metrics.CONSUMER_DEAD_LETTERS.labels(cause.reason).inc()
            skipped = sum(item.skipped for item in items[:undone])
            _count(partition[0], "dead_lettered", len(dead))
            _count(partition[0], "skipped", skipped)
            _count(partition[0], "handled", undone - len(dead) - skipped)
        place = TopicPartition(*partition)
        if undone == len(items):
            client.resume([place])
            return
        if self._stopping:
            return
        retry = wait.retry if wait is not None else None
        problem = str(retry) if retry is not None else (self._outputs.problem or "its output is not in Kafka")
        hold = self._holds.hold(
            partition,
            items[undone:],
            problem=problem or "the handler asked for later",
            after=retry.after if retry is not None else None,
            isolate=any(item.attempts for item in items[undone:]),
        )
        client.pause([place])
        _count(partition[0], "retried", 1)
        log.warning(
            "partition waits",
            topic=partition[0],
            partition=partition[1],
            offset=items[undone].record.offset,
            tries=hold.tries,
            seconds=round(hold.due - time.monotonic(), 3),
            problem=hold.problem,
        )

    def _refuse_homeless(self, outcome: Outcome) -> None:
        """Stop where a dead letter has nowhere to go: skipping it would lose it."""
        if self._outputs.dlq_topic is not None:
            return
        for item in outcome.items:
            if item.cause is not None:
                record = item.record
                raise HandlerError(
                    "MessageFailed",
                    f"{record.topic}[{record.partition}] offset {record.offset} can't be handled "
                    f"({item.cause.reason}: {item.cause.message}), and no dead-letter topic is set",
                )

    def _await_deliveries(self, client: Consumer) -> None:
        """Wait until every delivery is reported. Kafka may be away for long."""
        give_up: float | None = None
        while self._outputs.flush(_LONGEST_BLOCK if self._stopping else 1.0):
            self._turned = time.monotonic()
            if self._stopping:
                give_up = give_up or time.monotonic() + _STOPPED_FLUSH
                if time.monotonic() >= give_up:
                    self._outputs.give_up()
                    break
            self._stay_in_group(client)

    def _stay_in_group(self, client: Consumer) -> None:
        """Serve the group in the middle of an iteration that takes long; nothing new comes in meanwhile."""
        client.pause([TopicPartition(*partition) for partition in self._progress.owned])
        self._paused = True
        message = client.poll(0)
        if message is not None:
            self._accept([message])
        self._polled = time.monotonic()

    # --- the group ---

    def _on_statistics(self, statistics: str) -> None:
        if not self._settled:
            group = orjson.loads(statistics).get("cgrp", {})
            self._settled = group.get("state") == "up" and group.get("stateage", 0) > _SPARE_AFTER * 1000

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._settled = True
        self._progress.take(partitions)
        log.info("partitions assigned", partitions=_names(partitions), owned=len(self._progress.owned))

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._progress.hand_over(client, partitions)
        self._forget(client, partitions)
        log.info("partitions revoked", partitions=_names(partitions), owned=len(self._progress.owned))

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(client, partitions)
        self._settled = False
        log.warning("partitions lost", partitions=_names(partitions), owned=len(self._progress.owned))

    def _forget(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what is in hand of partitions that have a new owner."""
        # librdkafka keeps a pause until the partition comes back, when nobody would know of it any more.
        with suppress(KafkaException):
            client.resume(partitions)
        self._progress.forget(partitions)
        gone = to_partitions(partitions)
        self._inbox = [message for message in self._inbox if (message.topic(), message.partition()) not in gone]
        for partition in gone:
            self._holds.drop(partition)

    def _close(self, client: Consumer) -> None:
        try:
            self._progress.commit(client)
            client.close()
        finally:
            self._outputs.close()
            self._consumer = None
            self._settled = False
            # Not at the start: a signal that came just before it would be forgotten.
            self._stopping = False
            log.info("consumer closed", group=self._config.group_id)


def _on_error(error: KafkaError) -> None:
    log.warning("consumer reports", code=error.name(), why=error.str())


def _count(topic: str, outcome: str, number: int) -> None:
    if number:
        metrics.CONSUMER_MESSAGES.labels(topic, outcome).inc(number)


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{place.topic}[{place.partition}]" for place in partitions]
