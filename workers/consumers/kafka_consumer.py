"""`KafkaConsumer`: the loop from Kafka to a handler, and the order of its steps.

The main thread does everything: confluent-kafka serves rebalances inside `consume`, so between iterations no step can
be interrupted by one. Within an iteration the keeper serves them, and waits for its end before a partition goes.
At-least-once follows from the order of `_work`: an offset moves only after its message was handled and Kafka has what
came of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import structlog
from confluent_kafka import TopicPartition

from consumers.aside import Aside
from consumers.at_least_once import AtLeastOnce
from consumers.batch import Batch
from consumers.calls import Handler, HandlerCalls, Item, Outcome
from consumers.config import ConsumerConfig
from consumers.counts import count, count_batch, count_done
from consumers.delivery import Delivery, Destinations
from consumers.exactly_once import ExactlyOnce
from consumers.failures import build_crash_cause
from consumers.holds import Holds, Partition
from consumers.inbox import Inbox
from consumers.keeper import Keeper
from consumers.membership import Membership
from consumers.progress import Commit, Place, Progress
from consumers.stop import COMMITS, Stop
from telemetry import metrics
from telemetry.errors import ConfigurationError, HandlerError, TransactionUnknown
from telemetry.names import check_topic_names

log = structlog.get_logger(__name__)


class KafkaConsumer:
    """Reads topics as a member of a group and gives each message to a handler.

        consumer = KafkaConsumer(config=ConsumerConfig(), topics=["telemetry.raw"], handler=PrintHandler())
        signal.signal(signal.SIGTERM, consumer.stop)
        consumer.start()

    ``consume_timeout`` is how long, in seconds, a batch may take to fill; ``batch_max_size`` bounds it. Without
    ``dlq_topic`` a message that can't be decoded or handled ends `start` with HandlerError; nothing is skipped.
    ``output_topic`` is where an `Outgoing` without a topic goes. With ``commit="manual"`` offsets are committed after
    each iteration, synchronously; with ``auto`` every few seconds, when partitions move and at the end. With
    ``delivery="exactly-once"`` they are committed in a transaction with what comes of the messages.
    ``max_attempts`` bounds how often a message is tried that its handler fails on, and how many processes may die of
    one. A call of the handler may take ``handle_limit`` seconds before only a restart is expected to help: the member
    stays in its group meanwhile, whatever ``max.poll.interval.ms`` says.
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
        delivery: Literal["at-least-once", "exactly-once"] = "at-least-once",
        dlq_topic: str | None = None,
        output_topic: str | None = None,
        max_attempts: int = 5,
        handle_limit: float = 900.0,
    ) -> None:
        self._config = config
        self._topics = check_topic_names(topics)
        self._only_topic = self._topics[0] if len(self._topics) == 1 else None
        self._timeout = consume_timeout
        self._decode = decode_json and not getattr(handler, "wants_bytes", False)
        self._records = bool(getattr(handler, "wants_records", False))
        self._batch = consume_batch
        self._commit_each = commit == "manual"
        exactly_once = delivery == "exactly-once"
        if exactly_once and not self._commit_each:
            raise ConfigurationError("commit: with exactly-once delivery a transaction commits, it can't be 'auto'")
        if exactly_once and config.reads_uncommitted:
            raise ConfigurationError(
                "KAFKA_PROPERTIES: with exactly-once delivery isolation.level can't be 'read_uncommitted': "
                "what a transaction has taken back would come out again"
            )
        # Without batches and with a commit after each iteration, an iteration is one message.
        self._most = 1 if self._commit_each and not consume_batch and not exactly_once else batch_max_size
        self._max_attempts = max_attempts
        self._dlq_topic = dlq_topic
        self._handle_limit = handle_limit
        self._stop = Stop()
        self._calls = HandlerCalls(
            handler, batch=consume_batch, max_attempts=max_attempts, stopping=self._stop.is_asked
        )
        self._delivery: Delivery = (ExactlyOnce if exactly_once else AtLeastOnce)(
            config,
            Destinations(config.group_id, output_topic, dlq_topic),
            stop=self._stop,
            beat=self._beat,
        )
        self._turned = time.monotonic()
        self._member: Membership | None = None

    def start(self) -> None:
        """Consume until `stop`, then leave the group and close the client. Raises what can't be gone on with."""
        if self._member is not None:
            raise ConfigurationError("this consumer runs already; call stop() and wait for start() to return")
        member = self._member = self._make_member()
        self._turned = time.monotonic()
        self._progress, self._holds = member.progress, member.holds
        self._tried_again = False
        try:
            with Keeper(member.stay, stop=self._stop, told_to_end=self._take_back) as keeper:
                self._keeper = keeper
                member.join(keeper)
                while not self._stop.is_asked():
                    self._beat()
                    member.note_lag()
                    batch, isolate = self._next_batch(member)
                    member.note_served()
                    if batch:
                        self._work_through(member, batch, isolate=isolate)
                    else:
                        self._progress.commit(member.client)
        finally:
            self._close(member)

    def stop(self, *_: object) -> None:
        """Ask the loop to leave after its current iteration. Takes the arguments of a signal handler."""
        self._stop.ask()

    def find_readiness_problem(self) -> str | None:
        """Return why this consumer is not at work, or None: it is in its group, and nothing it holds is stuck."""
        member = self._member
        if member is None:
            return "it does not consume"
        still = self._still_for
        if still > min(self._handle_limit, self._config.patience_seconds):
            return f"the handler has been at it for {still:.0f} s"
        return member.find_problem() or self._delivery.problem or member.holds.problem

    def find_liveness_problem(self) -> str | None:
        """Return why only a restart can help, or None: the loop turns."""
        still = self._still_for
        if still <= self._handle_limit:
            return None
        return f"the loop has not turned for {still:.0f} s, longer than {self._handle_limit:.0f} s"

    @property
    def _still_for(self) -> float:
        return time.monotonic() - max(self._turned, self._calls.ended_at) if self._member is not None else 0.0

    def _beat(self) -> None:
        self._turned = time.monotonic()

    def _make_member(self) -> Membership:
        aside = Aside("kafka")

        def make_commit(commit: Commit) -> Sequence[TopicPartition] | None:
            patience = self._stop.make_patience(COMMITS)

            def may_go_on() -> bool:
                self._beat()
                return patience()

            return aside.call(commit, may_go_on)

        return Membership(
            self._config,
            self._topics,
            progress=Progress(
                in_hand=self._most,
                interval=None if self._commit_each else self._config.auto_commit_interval_ms / 1000,
                make_commit=make_commit,
            ),
            holds=Holds(time.monotonic),
            inbox=Inbox(most=self._most, timeout=self._timeout, batch=self._batch, stopping=self._stop.is_asked),
            delivery=self._delivery,
            stop=self._stop,
            aside=aside,
        )

    def _close(self, member: Membership) -> None:
        try:
            member.leave()
        finally:
            self._delivery.close()
            self._member = None
            # Not at the start: a signal that came just before it would be forgotten.
            self._stop.clear()

    # --- in: what to work on next ---

    def _next_batch(self, member: Membership) -> tuple[Batch, bool]:
        """Return the next messages: those of a partition whose waiting is over, else new ones. Empty after a wait."""
        until_due = self._holds.seconds_until_due()
        if until_due == 0:
            # The group is served first, which may take the waiting partition away; and what can go on takes turns with
            # what is tried again, however long that takes.
            member.inbox.look(member.client)
            if not (member.inbox and self._tried_again):
                due = self._holds.take_due()
                if due is not None:
                    self._tried_again = True
                    return Batch.of(due[1].items, group=self._config.group_id), due[1].isolate
        else:
            member.inbox.collect(member.client, until_due)
        self._tried_again = False
        messages = member.inbox.take()
        batch = Batch(
            messages, decode=self._decode, records=self._records, group=self._config.group_id, topic=self._only_topic
        )
        return batch, False

    # --- out: the order that makes it at-least-once ---

    def _work_through(self, member: Membership, batch: Batch, *, isolate: bool) -> None:
        """Work on ``batch``: together, but one by one in partitions in which a process has died."""
        if batch.dead and self._dlq_topic is None:
            # The consumer ends there: what is behind would be handled again by whoever comes next.
            batch = batch.cut_behind_dead()
        self._progress.begin(member.client, batch)
        places = self._progress.places
        owned = dict(places)
        careful = [partition for partition in batch.last if partition in places and places[partition].alone]
        failed = [partition for partition in batch.last if partition in places and places[partition].failures]
        for partition in failed:
            # Another process may have tried it before.
            first = next(item for item in batch.items if item.partition == partition)
            first.attempts = max(first.attempts, places[partition].failures)
            isolate = True
        if not careful and (len(batch.last) == 1 or not self._delivery.by_partition):
            self._work(member, batch, isolate=isolate)
            return
        if not self._delivery.by_partition:
            together = [item for item in batch.items if item.partition not in careful]
            if together:
                self._work(member, Batch.of(together, group=self._config.group_id), isolate=isolate)
        for partition in batch.last:
            member.stay_now_and_then()
            if partition not in owned or places.get(partition) is not owned[partition]:
                # It went while another one was worked on.
                continue
            if partition in careful:
                self._work_one_by_one(member, partition, batch.select(partition).items)
            elif self._delivery.by_partition:
                self._work(member, batch.select(partition), isolate=isolate)

    def _work_one_by_one(self, member: Membership, partition: Partition, items: list[Item]) -> None:
        own = self._progress.places.get(partition)
        for place, item in enumerate(items):
            member.stay_now_and_then()
            if own is None or self._progress.places.get(partition) is not own or self._stop.is_asked():
                return
            if not own.alone:
                self._progress.commit(member.client, now=True)
                self._work(member, Batch.of(items[place:], group=self._config.group_id), isolate=False)
                return
            self._beat()
            if item.cause is None and not item.done:
                if own.crashes >= self._max_attempts:
                    item.cause = build_crash_cause(own.crashes)
                else:
                    self._progress.begin_alone(member.client, partition, item.record.offset)
            if item.cause is not None or item.done:
                self._progress.commit(member.client, now=True)
            # What commits the beginning of the next one commits the end of this one.
            is_last = place + 1 == len(items)
            self._work(member, Batch.of([item], group=self._config.group_id), isolate=True, commit=is_last)
            self._progress.end_alone()
            if partition in self._holds:
                self._holds.extend(partition, items[place + 1 :])
                self._progress.commit(member.client, now=True)
                return

    def _work(self, member: Membership, batch: Batch, *, isolate: bool, commit: bool = True) -> None:
        owned = dict(self._progress.places)
        member.note_metadata()
        self._delivery.begin(batch)
        self._keeper.begin()
        try:
            # 1. Hand the messages to the handler; send what it gives back, and the dead letters.
            waits, refusal = self._hand_over(batch, isolate)
            # 2. Wait until Kafka has all of it. What it did not take leaves its messages undone.
            committed = self._delivery.confirm(batch, member)
            # 3. Per partition, move the position over the messages that are done.
            undone = self._move(batch, owned)
            for partition, offset in committed.items():
                if partition in owned:
                    self._progress.note_committed(owned[partition], offset)
        except TransactionUnknown:
            # Where we think we are may be behind what Kafka has: that must not be committed.
            self._progress.forget(batch.last)
            raise
        finally:
            self._keeper.end()
        if refusal is not None:
            # What was handled before it is not to be handled again by whoever comes next.
            self._progress.commit(member.client, now=True)
            raise refusal
        # 4. Hold what is undone, and whatever is behind it. What was lost meanwhile, and maybe given to us again, is
        #    read again.
        kept = {place: own for place, own in undone.items() if self._progress.places.get(place) is owned.get(place)}
        self._hold(member, kept, waits)
        member.go_on()
        # 5. Commit.
        if commit:
            self._progress.commit(member.client)

    def _hand_over(self, batch: Batch, isolate: bool) -> tuple[dict[Partition, Outcome], HandlerError | None]:
        """Send what the handler gives back.

        Return of each partition that has to wait why it has to; and the error where something has nowhere to go, behind
        which nothing was handed over.
        """
        waits: dict[Partition, Outcome] = {}
        for outcome in self._calls.run_batch(batch, isolate=isolate):
            self._beat()
            if outcome.retry is not None:
                waits.update((item.partition, outcome) for item in outcome.items)
                continue
            try:
                self._delivery.send(outcome)
            except HandlerError as error:
                return waits, error
        return waits, None

    def _move(self, batch: Batch, owned: Mapping[Partition, Place]) -> dict[Partition, list[Item]]:
        """Move the positions; return, by partition, the first item that is not done and those behind it."""
        if batch.is_done:
            for partition, last in batch.last.items():
                if partition in owned:
                    self._progress.move(owned[partition], last + 1, messages=len(batch))
                    self._holds.settle(partition)
            count_batch(batch)
            return {}
        items = batch.items
        by_partition: dict[Partition, list[Item]] = {}
        for item in items:
            by_partition.setdefault(item.partition, []).append(item)
        undone: dict[Partition, list[Item]] = {}
        for partition, own in by_partition.items():
            place = owned.get(partition)
            if place is None:
                continue
            done = next((number for number, item in enumerate(own) if not item.done), len(own))
            if done:
                self._progress.move(place, own[done - 1].record.offset + 1, messages=done)
                self._holds.settle(partition)
                count_done(partition[0], own[:done])
            undone[partition] = own[done:]
            if own[done:]:
                # A count that has to outlive this process, and the offset that it is about.
                place.failures, place.position = own[done].attempts, own[done].record.offset
        return undone

    def _hold(self, member: Membership, undone: dict[Partition, list[Item]], waits: dict[Partition, Outcome]) -> None:
        for partition, items in undone.items():
            if not items or self._stop.is_asked():
                member.let_in(partition)
                continue
            wait = waits.get(partition)
            retry = wait.retry if wait is not None else None
            problem = str(retry) if retry is not None else (self._delivery.problem or "its output is not in Kafka")
            hold = self._holds.hold(
                partition,
                items,
                problem=problem or "the handler asked for later",
                after=retry.after if retry is not None else None,
                isolate=any(item.attempts for item in items),
            )
            member.keep_out(partition)
            count(partition[0], "retried", 1)
            log.warning(
                "partition waits",
                topic=partition[0],
                partition=partition[1],
                offset=items[0].record.offset,
                tries=hold.tries,
                seconds=round(hold.due - time.monotonic(), 3),
                problem=hold.problem,
            )
        metrics.CONSUMER_HELD_PARTITIONS.set(len(self._holds))

    def _take_back(self) -> None:
        """The process was told to end while a message is in hand alone: if it is killed now, that tells nothing."""
        member = self._member
        if member is not None and self._still_for <= self._handle_limit:
            self._progress.take_back_alone(member.client)
