"""A member of a consumer group: its client, the partitions that it was given, and what their coming and going asks for.

Callbacks run inside `consume` and `poll`: on the main thread between iterations, on the keeper's thread within one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import orjson
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumers.aside import Aside, NoAnswer
from consumers.config import ConsumerConfig
from consumers.delivery import Delivery
from consumers.holds import Holds, Partition
from consumers.inbox import Inbox
from consumers.keeper import Keeper
from consumers.lag import Lag
from consumers.progress import Progress, to_partitions
from consumers.stop import LEAVE, Stop
from telemetry import metrics
from telemetry.errors import FatalKafkaError
from telemetry.kafka_config import explain_refusal

_SPARE_AFTER = 5.0
"""Seconds after which a member that was given nothing counts as a spare one (KIP-848 never tells it so)."""
_WAIT_SHARE = 0.8
"""Share of ``max.poll.interval.ms`` that a rebalance is kept waiting for messages in hand: beyond the whole of it the
group goes on without this member."""
_SERVE_EVERY = 1.0
_KEEPER_POLL = 0.01
"""Seconds. Not 0: librdkafka counts a callback as polling only inside a poll that may block."""

log = structlog.get_logger(__name__)


class Membership:
    """What one `start` of a consumer owns in its group: partitions, how far it is in them, what waits, what came in."""

    def __init__(
        self,
        config: ConsumerConfig,
        topics: list[str],
        *,
        progress: Progress,
        holds: Holds,
        inbox: Inbox,
        delivery: Delivery,
        stop: Stop,
        aside: Aside,
    ) -> None:
        self._config = config
        self._topics = topics
        self.progress = progress
        self.holds = holds
        self.inbox = inbox
        self._delivery = delivery
        self._stop = stop
        self._aside = aside
        self._lag = Lag(config.group_id)
        self._settled = False
        self._paused = False
        self._served_at = time.monotonic()
        self._kept_out: set[Partition] = set()
        self._problem: str | None = None
        self._metadata: Any = None
        self._keeper: Keeper | None = None
        self.client = self._connect()

    def join(self, keeper: Keeper) -> None:
        """Subscribe; partitions come with the polls that follow."""
        self._keeper = keeper
        self.client.subscribe(self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        log.info("consuming", topics=self._topics, group=self._config.group_id)

    def leave(self) -> None:
        """Leave the group, which commits where we are, and close the client; without a word where Kafka is silent."""
        # Where the consumer ends by itself, it has the same time as one that was asked to.
        self._stop.ask()
        try:
            self._aside.call(self.client.close, self._stop.make_patience(LEAVE))
        except NoAnswer:
            log.warning("Kafka does not answer, left without a word", group=self._config.group_id)
        finally:
            self._settled = False
            self._aside.close()
        log.info("consumer closed", group=self._config.group_id)

    def find_problem(self) -> str | None:
        """Return why this member is not at work, or None."""
        if self._settled:
            return None
        problem = f"the group {self._config.group_id} has not given this member its partitions yet"
        return f"{problem}: {self._problem}" if self._problem else problem

    def stay(self) -> None:
        """Serve the group in the middle of an iteration; nothing new comes in meanwhile."""
        self.note_served()
        self.client.pause([TopicPartition(*partition) for partition in self.progress.places])
        self._paused = True
        try:
            message = self.client.poll(_KEEPER_POLL)
        except KafkaException as error:
            # confluent-kafka tells of a fatal error so, and of no other.
            raise FatalKafkaError(f"the consumer can't go on: {error.args[0].str()}") from error
        if message is not None:
            self.inbox.accept([message])
        self.note_metadata()

    def stay_now_and_then(self) -> None:
        """Serve the group between two iterations of one batch, where it was not served for a second."""
        if time.monotonic() - self._served_at > _SERVE_EVERY:
            self.stay()

    def note_served(self) -> None:
        """Note that the group was served: by a call of `consume`."""
        self._served_at = time.monotonic()

    def go_on(self) -> None:
        """Let messages in again that `stay` has kept out."""
        if self._paused:
            self.client.resume(
                [TopicPartition(*place) for place in self.progress.places if place not in self._kept_out]
            )
            self._paused = False

    def build_offset(self, partition: Partition, offset: int, *, messages: int) -> TopicPartition:
        """Return what a transaction has to commit when ``messages`` more are done, all before ``offset``."""
        return self.progress.build_offset(partition, offset, messages=messages)

    def get_group_metadata(self) -> Any:
        """Return who this member is in which generation of its group: what a transaction is checked against."""
        return self._metadata

    def note_metadata(self) -> None:
        """Note the generation: while an iteration is under way, only the keeper may ask the client for it."""
        if self._delivery.by_partition:
            self._metadata = self.client.consumer_group_metadata()

    def note_lag(self) -> None:
        """Bring the metric of our lag up to date, where it is time to."""
        self._lag.note(self.client, self.progress.places, self._kept_out)

    def keep_out(self, partition: Partition) -> None:
        """Let no messages of ``partition`` in until `let_in`."""
        self.client.pause([TopicPartition(*partition)])
        self._kept_out.add(partition)

    def let_in(self, partition: Partition) -> None:
        """Let the messages of ``partition`` in again."""
        if partition in self._kept_out:
            self._kept_out.remove(partition)
            self.client.resume([TopicPartition(*partition)])

    def _connect(self) -> Consumer:
        properties = self._config.to_librdkafka() | {
            # With each offset goes a mark, which librdkafka's own commits would bring back when it is over.
            "enable.auto.commit": False,
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
            "statistics.interval.ms": 1000 if self._config.group_protocol == "consumer" else 0,
            "logger": logging.getLogger("librdkafka"),
        }
        try:
            return Consumer(properties)
        except KafkaException as error:
            raise explain_refusal(self._config, error.args[0].str()) from error

    def _on_error(self, error: KafkaError) -> None:
        self._problem = error.str()
        log.warning("consumer reports", code=error.name(), why=error.str())

    def _on_statistics(self, statistics: str) -> None:
        if not self._settled:
            group = orjson.loads(statistics).get("cgrp", {})
            self._settled = group.get("state") == "up" and group.get("stateage", 0) > _SPARE_AFTER * 1000

    def _on_assign(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._settled = True
        self._problem = None
        if partitions:
            self._delivery.take(sorted(to_partitions(partitions)))
            self.progress.take(client, partitions)
        self.note_metadata()
        log.info("partitions assigned", partitions=_names(partitions), owned=len(self.progress.places))

    def _on_revoke(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        # 1. What is in hand comes to its end first, or the next owner would do it again; a transaction needs the
        #    generation for that, which is another one already.
        self.note_metadata()
        if self._keeper is not None and self._keeper.busy_for:
            log.info("partitions are asked for, what is in hand comes first", partitions=_names(partitions))
            patience = self._config.patience_seconds * _WAIT_SHARE
            if not self._keeper.wait_until_done(patience):
                log.warning(
                    "partitions leave with messages in hand", partitions=_names(partitions), waited=round(patience, 1)
                )
        # 2. Commit where it ended.
        gone = to_partitions(partitions)
        self.progress.hand_over(client, gone)
        # 3. Forget it.
        self._forget(client, partitions)
        log.info("partitions revoked", partitions=_names(partitions), owned=len(self.progress.places))

    def _on_lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(client, partitions)
        self._settled = False
        log.warning("partitions lost", partitions=_names(partitions), owned=len(self.progress.places))

    def _forget(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what is in hand of partitions that have a new owner."""
        # librdkafka keeps a pause until the partition comes back, when nobody would know of it any more.
        with suppress(KafkaException):
            client.resume(partitions)
        gone = to_partitions(partitions)
        self.progress.forget(gone)
        self._lag.forget(gone)
        self.inbox.drop(gone)
        self._delivery.drop(sorted(gone))
        self._kept_out -= gone
        for partition in gone:
            self.holds.drop(partition)
        metrics.CONSUMER_HELD_PARTITIONS.set(len(self.holds))


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{place.topic}[{place.partition}]" for place in partitions]
