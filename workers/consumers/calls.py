"""Calling a handler, and making of what it returns, yields or raises a decision for every message.

Pure: nothing here knows Kafka. In goes a list of `Item`, out come `Outcome`s; whoever consumes carries them out.

    returns or yields Outgoing      produce it, then the call's messages are done
    returns or yields Reject        that message is a dead letter, the others are done
    raises Reject                   that message is a dead letter, the others are handed over again
    raises or yields RetryLater, or
    raises a TRANSIENT error        the call's messages wait and are handed over again, without limit
    raises anything else            alone: one failed attempt of max_attempts, then a dead letter
                                    in a batch: each message is handed over alone, to find the bad one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from consumers.async_handlers import adapt
from consumers.failures import TRANSIENT, build_reject_cause, name_class, release, tell, understand
from consumers.handlers import check_methods
from consumers.records import Outgoing, Record, Reject, RetryLater
from consumers.results import sort_results
from telemetry import metrics
from telemetry.codec import decode_json
from telemetry.dead_letters import Cause
from telemetry.errors import InvalidTelemetry
from telemetry.headers import is_for_another_group

if TYPE_CHECKING:
    from consumers.batch import Batch

log = structlog.get_logger(__name__)


class Handler(Protocol):
    """Any object with ``handle``.

    It may have ``wants_records = True`` to be given `Record`s, ``wants_bytes = True`` for values as they are in Kafka
    whatever the consumer decodes, and ``setup()`` and ``close()``, which the worker calls before the first message and
    after the last. Each of the three may be ``async``.
    """

    def handle(self, payload: Any) -> Any:
        """Handle one payload, or a list of them in batch mode."""


@dataclass(slots=True, eq=False)
class Item:
    """A message in hand: its record (value decoded), its bytes, and how far we are with it."""

    record: Record
    raw: bytes | None
    attempts: int = 0
    cause: Cause | None = None
    done: bool = False
    skipped: bool = False
    """Whether it is none of this group's business: a replay for another one. It is done from the start."""
    traced: bool = False
    """Whether the log has the traceback of its failure: further tries would only say the same again."""
    decoded: bool = False
    """Whether the record's value is what JSON decoding made of ``raw``."""
    handed: bool = False
    """Whether a handler has had it, and may have changed its value."""

    @property
    def partition(self) -> tuple[str, int]:
        """Topic and partition."""
        return (self.record.topic, self.record.partition)

    def hand_out(self) -> Record:
        """Return the record for a handler, each time as it came: what it does to a value must not fail its next try."""
        if self.handed and self.decoded and self.raw is not None:
            self.record = self.record._replace(value=decode_json(self.raw))
        self.handed = True
        return self.record


def build_item(record: Record, *, decode: bool, group: str) -> Item:
    """Return a message as it lies in Kafka as one in hand, its value decoded where ``decode`` says so.

    What is no JSON has its cause from the start; a replay for another group than ``group`` is done from the start.
    """
    raw = record.value
    skipped = is_for_another_group(record.headers, group)
    cause = None
    decoded = decode and raw is not None and not skipped
    if decoded:
        try:
            record = record._replace(value=decode_json(raw))
        except InvalidTelemetry as error:
            cause = Cause(error.reason, str(error), "decode", "telemetry.errors.InvalidTelemetry")
    return Item(record, raw, cause=cause, done=skipped, skipped=skipped, decoded=decoded)


@dataclass(slots=True, eq=False)
class Outcome:
    """What is to become of some messages: dead letters where an item has a cause, a wait, or done."""

    items: Sequence[Item]
    outgoing: list[Outgoing] = field(default_factory=list)
    retry: RetryLater | None = None
    """Set where the items wait for another try; its ``after`` may be None for growing waits."""
    whole: Batch | None = None
    """Set where it is the outcome of a whole batch at once: ``items`` are then only those of it that are dead."""

    def finish(self) -> None:
        """Note that Kafka has all of it."""
        if self.whole is not None:
            self.whole.done = True
        for item in self.items:
            item.done = True


class HandlerCalls:
    """Hands messages to one handler and turns what comes back into `Outcome`s.

    Raises HandlerError where the handler can't be called as it will be.
    """

    def __init__(self, handler: Handler, *, batch: bool, max_attempts: int, stopping: Callable[[], bool]) -> None:
        check_methods(handler, type(handler).__name__)
        handler = adapt(handler)
        self._handle = handler.handle
        self._records = bool(getattr(handler, "wants_records", False))
        self._batch = batch
        self._max_attempts = max_attempts
        self._stopping = stopping
        self.ended_at = monotonic()
        """When the last call ended, in monotonic seconds."""
        self._cut_short = False
        """Whether a stop has ended the run before its last message."""
        self._has_failed_together = False
        """Whether the log has a batch's traceback: where each message passes alone, there is no other."""

    def run(self, items: Sequence[Item], *, isolate: bool = False) -> Iterator[Outcome]:
        """Yield the outcomes of ``items``, in order within a partition; fewer than all once a stop was asked for.

        Items that have a cause already (they could not be decoded) are passed through and not handed over; those that
        were done in an earlier try, or are skipped, are left out. With ``isolate`` a batch handler gets lists of one.
        """
        self._cut_short = False
        undone = [item for item in items if not item.done]
        live = _find_live(undone)
        dead = [item for item in undone if item.cause is not None]
        if self._batch and not isolate and len(live) > 1:
            yield from self._run_together(live)
        else:
            yield from self._run_alone(live)
        if dead and not self._cut_short:
            yield Outcome(dead)

    def run_batch(self, batch: Batch, *, isolate: bool = False) -> Iterator[Outcome]:
        """Yield the outcomes of ``batch``, as `run` does; a message is looked at by itself where something is wrong."""
        # One message in a batch is one alone: it is not to be found among others.
        if batch.payloads is None or isolate or (self._batch and len(batch.payloads) == 1):
            yield from self.run(batch.items, isolate=isolate)
            return
        # Last: where they have nowhere to go, what came before them is handled all the same.
        dead = batch.dead
        if batch.payloads:
            run = self._run_whole if self._batch else self._run_each
            yield from run(batch, batch.payloads)
        else:
            batch.done = True
        if dead and not self._cut_short:
            yield Outcome(dead)

    def _run_whole(self, batch: Batch, payloads: list[Any]) -> Iterator[Outcome]:
        try:
            outgoing, rejects = self._call_with(payloads, len(payloads))
            by_place = _sort_by_place(rejects, len(payloads))
        except Exception as error:
            yield from self._run_together(_find_live(batch.items), failed=error)
        else:
            dead = []
            for place, rejected in by_place.items():
                item = batch.find_item(place)
                item.cause = build_reject_cause(rejected, item.attempts + 1)
                dead.append(item)
            yield Outcome(dead, outgoing, whole=batch)

    def _run_each(self, batch: Batch, payloads: list[Any]) -> Iterator[Outcome]:
        """Hand over one by one for as long as nothing comes back; what comes back is looked at as items."""
        handle, stopping, seconds = self._handle, self._stopping, list[float]()
        begun = monotonic()
        try:
            for place, payload in enumerate(payloads):
                if stopping():
                    self._cut_short = True
                    batch.note_handled(place)
                    return
                outgoing: list[Outgoing] = []
                rejects: list[Reject] = []
                failed: Exception | None = None
                try:
                    result = handle(payload)
                    if result is not None:
                        outgoing, rejects = sort_results(result)
                except BaseException as error:
                    failed = understand(error)
                self.ended_at = ended = monotonic()
                seconds.append(ended - begun)
                begun = ended
                if failed is not None or outgoing or rejects:
                    batch.note_handled(place)
                    first, *rest = _find_live(batch.find_items_from(place))
                    if failed is not None:
                        yield from self._run_alone([first, *rest], failed=failed)
                    else:
                        yield _conclude(first, outgoing, rejects)
                        yield from self._run_alone(rest)
                    return
        finally:
            metrics.CONSUMER_CALLS.note_each(seconds)
        yield Outcome([], whole=batch)

    def _run_together(self, items: Sequence[Item], *, failed: Exception | None = None) -> Iterator[Outcome]:
        # A Reject that is raised tells of one message. With many bad ones the good ones would come again for each, so
        # after the second everyone is handed over alone: whatever happens, a good message comes three times at most.
        for _ in range(2):
            if not items:
                return
            if self._stopping():
                self._cut_short = True
                return
            known, failed = failed, None
            try:
                outgoing, rejects = self._call(items, failed=known)
                by_place = _sort_by_place(rejects, len(items))
            except Reject as reject:
                at = reject.index
                release(reject)
                if at is None or not 0 <= at < len(items):
                    break
                items[at].cause = build_reject_cause(reject, items[at].attempts + 1)
                yield Outcome([items[at]])
                items = [item for place, item in enumerate(items) if place != at]
            except _WrongPlace:
                break
            except RetryLater as later:
                release(later)
                yield Outcome(items, retry=later)
                return
            except TRANSIENT as error:
                release(error)
                yield Outcome(items, retry=RetryLater(tell(error)))
                return
            except Exception as error:
                log.warning(
                    "batch failed, handing over one by one",
                    size=len(items),
                    problem=tell(error),
                    exc_info=not self._has_failed_together,
                )
                self._has_failed_together = True
                release(error)
                break
            else:
                for place, rejected in by_place.items():
                    item = items[place]
                    item.cause = build_reject_cause(rejected, item.attempts + 1)
                yield Outcome(items, outgoing)
                return
        yield from self._run_alone(items)

    def _run_alone(self, items: Iterable[Item], *, failed: Exception | None = None) -> Iterator[Outcome]:
        waiting: set[tuple[str, int]] = set()
        for item in items:
            if self._stopping():
                self._cut_short = True
                return
            if item.partition in waiting:
                continue
            known, failed = failed, None
            outcome = self._run_one(item, failed=known)
            if outcome.retry is not None:
                waiting.add(item.partition)
            yield outcome

    def _run_one(self, item: Item, *, failed: Exception | None = None) -> Outcome:
        try:
            outgoing, rejects = self._call([item], failed=failed)
        except Reject as reject:
            release(reject)
            item.cause = build_reject_cause(reject, item.attempts + 1)
        except RetryLater as later:
            release(later)
            return Outcome([item], retry=later)
        except TRANSIENT as error:
            release(error)
            return Outcome([item], retry=RetryLater(tell(error)))
        except Exception as error:
            item.attempts += 1
            log.warning(
                "handler failed",
                topic=item.record.topic,
                partition=item.record.partition,
                offset=item.record.offset,
                attempt=item.attempts,
                of=self._max_attempts,
                problem=tell(error),
                exc_info=not item.traced,
            )
            item.traced = True
            release(error)
            if item.attempts < self._max_attempts:
                return Outcome([item], retry=RetryLater(tell(error)))
            item.cause = Cause("handler_failed", tell(error), "handle", name_class(error), item.attempts)
        else:
            return _conclude(item, outgoing, rejects)
        return Outcome([item])

    def _call(self, items: Sequence[Item], *, failed: Exception | None = None) -> tuple[list[Outgoing], list[Reject]]:
        """Hand ``items`` over, unless that is how they have ``failed`` just now."""
        if failed is not None:
            raise failed
        records = [item.hand_out() for item in items]
        payloads: Sequence[object] = records if self._records else [record.value for record in records]
        return self._call_with(payloads if self._batch else payloads[0], len(items))

    def _call_with(self, payload: object, size: int) -> tuple[list[Outgoing], list[Reject]]:
        started = monotonic()
        try:
            return sort_results(self._handle(payload))
        except BaseException as error:
            failed = understand(error)
            if failed is error:
                raise
            raise failed from failed.__cause__
        finally:
            self.ended_at = monotonic()
            metrics.CONSUMER_CALLS.note(self.ended_at - started, size)


def _find_live(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.cause is None and not item.done]


def _conclude(item: Item, outgoing: list[Outgoing], rejects: Sequence[Reject]) -> Outcome:
    if rejects:
        item.cause = build_reject_cause(rejects[0], item.attempts + 1)
    return Outcome([item], outgoing)


class _WrongPlace(Exception):
    """A reject names no message of its batch."""


def _sort_by_place(rejects: Sequence[Reject], size: int) -> dict[int, Reject]:
    by_place: dict[int, Reject] = {}
    for rejected in rejects:
        if rejected.index is None or not 0 <= rejected.index < size:
            raise _WrongPlace
        by_place[rejected.index] = rejected
    return by_place


def blame(outcome: Outcome, error: Exception) -> None:
    """Hold it against the messages of ``outcome`` that Kafka will never take what came of them.

    Alone, a message is a dead letter for it; of several, each is handed over alone first, to find which it is.
    """
    items = outcome.items if outcome.whole is None else outcome.whole.items
    for item in items:
        item.attempts += 1
    if len(items) == 1 and items[0].cause is None:
        (item,) = items
        item.cause = Cause("output_refused", tell(error), "handle", name_class(error), item.attempts)
