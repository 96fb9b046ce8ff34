"""How far a member is in the partitions that it owns, and how that gets into Kafka.

An offset is kept here until it is committed or its partition has another owner: a commit that a rebalance refuses is
tried again, since what is not committed is handled twice. With each offset goes a `Mark` that says how its partition
would be left if the process died now.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumers.aside import NoAnswer
from consumers.batch import Batch
from consumers.holds import Partition
from consumers.marks import UNKNOWN, Mark, format_mark, parse_mark

_REBALANCING = frozenset(
    {KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH}
)
"""The group is between two generations: the same commit works in a moment."""
_LAST_TRIES = 3.0
"""Seconds for which a revoked partition's commit is tried while the group rebalances."""
_PAUSE = 0.1
_REQUEST = 10.0

Commit = Callable[[], Sequence[TopicPartition] | None]
"""A synchronous commit to make; it returns how each partition's went."""
MakeCommit = Callable[[Commit], Sequence[TopicPartition] | None]

log = structlog.get_logger(__name__)


def _commit_directly(commit: Commit) -> Sequence[TopicPartition] | None:
    return commit()


@dataclass(slots=True)
class Place:
    """How far we are in one partition."""

    position: int | None = None
    """Offset of the next message to handle; None until something tells."""
    begun: bool = False
    """Whether messages of it were in hand."""
    committed: tuple[int, Mark] | None = None
    """What Kafka has of it, as far as we know."""
    alone: int = 0
    """Messages from the position on that are handled one by one: a process died with them in hand."""
    crashes: int = 0
    """Processes that died with the message at the position alone in hand."""
    failures: int = 0
    """Tries of the message at the position that its handler failed on."""
    exact_until: int = 0
    """Up to this offset a commit follows each iteration even with commit mode ``auto``."""

    @property
    def is_exact(self) -> bool:
        """Whether what lies behind the position has to be known exactly if the process dies."""
        return self.position is not None and self.position < self.exact_until

    @property
    def is_behind_kafka(self) -> bool:
        """Whether Kafka has more of it than we know to be done: a commit would take that back."""
        return self.position is not None and self.committed is not None and self.position < self.committed[0]

    @property
    def left_in_order(self) -> Mark:
        """The mark for a partition of which nothing is in hand any more."""
        return Mark(self.alone, self.crashes, self.failures)


class Progress:
    """The owned partitions and their `Place`.

    ``in_hand`` is the most messages that an iteration takes. `commit` commits synchronously; every ``interval`` seconds
    where one is given, else each time. ``make_commit`` makes it, except within a callback of the client; it may raise
    NoAnswer.
    """

    def __init__(
        self,
        *,
        in_hand: int,
        interval: float | None,
        make_commit: MakeCommit = _commit_directly,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_hand = in_hand
        self._interval = interval
        self._make_commit = make_commit
        self._clock = clock
        self._committed_at = clock()
        self._places: dict[Partition, Place] = {}
        self._begun_alone: Partition | None = None

    @property
    def places(self) -> Mapping[Partition, Place]:
        """The owned partitions."""
        return self._places

    def take(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        """Own ``partitions`` from now on; read where and how their last owner left them."""
        try:
            left = client.committed(partitions, timeout=_REQUEST)
            raise_partition_errors(left)
        except KafkaException as error:
            # Then a message that kills its process is counted from here on only.
            log.warning("committed offsets not read", code=error.args[0].name(), why=error.args[0].str())
            left = partitions
        for place in left:
            partition = (place.topic, place.partition)
            own = self._places[partition] = Place()
            if place.offset < 0:
                continue
            mark = parse_mark(place.metadata)
            own.position, own.committed = place.offset, (place.offset, mark)
            own.crashes, own.failures = mark.crashes, mark.failures
            if mark.hand:
                own.alone = max(0, mark.hand)
                own.exact_until = _find_end(client, place) if mark.hand == UNKNOWN else 0
                log.warning(
                    "partition was not left in order",
                    topic=place.topic,
                    partition=place.partition,
                    offset=place.offset,
                    one_by_one=own.alone,
                    crashes=own.crashes,
                )

    def begin(self, client: Consumer, batch: Batch) -> None:
        """Say in Kafka that messages of ``batch``'s partitions are in hand.

        Needed once a partition: each later commit says it again.
        """
        fresh = [p for p in batch.last if p in self._places and not self._places[p].begun]
        if fresh:
            firsts = batch.find_firsts()
            for partition in fresh:
                place = self._places[partition]
                place.begun = True
                if place.position != firsts[partition]:
                    # What the counts were about is gone: kept no longer, or compacted away.
                    place.position = firsts[partition]
                    place.crashes = place.failures = 0
            self._try_commit(client, fresh)

    def begin_alone(self, client: Consumer, partition: Partition, offset: int) -> None:
        """Say in Kafka that the message at ``offset`` is in hand alone, and one more process has begun on it."""
        place = self._places[partition]
        place.position = offset
        place.crashes += 1
        self._try_commit(client, [partition])
        place.crashes -= 1
        self._begun_alone = partition

    def end_alone(self) -> None:
        """Note that the message that was alone in hand is so no more."""
        self._begun_alone = None

    def take_back_alone(self, client: Consumer) -> None:
        """Say in Kafka that the process ends because it was told to: what it has alone in hand is not to blame."""
        partition, self._begun_alone = self._begun_alone, None
        if partition is not None and partition in self._places:
            # Within a callback, it may be.
            self._try_commit(client, [partition], _commit_directly)

    def move(self, place: Place, offset: int, *, messages: int) -> None:
        """Note that everything before ``offset`` is done, ``messages`` of it just now.

        ``place`` is that of the time when these messages were read: a partition that was lost and has come back has
        another, at which they are read again.
        """
        place.position = offset
        place.alone = max(0, place.alone - messages)
        place.crashes = place.failures = 0

    def commit(self, client: Consumer, *, now: bool = False) -> None:
        """Commit what has moved, where it is time or ``now``. What does not succeed is left for the next call."""
        due = now or self._interval is None or self._clock() - self._committed_at >= self._interval
        moved = [
            partition
            for partition, place in self._places.items()
            if (due or place.is_exact or place.alone) and self._is_uncommitted(place)
        ]
        if due:
            self._committed_at = self._clock()
        self._try_commit(client, moved)

    def hand_over(self, client: Consumer, partitions: Iterable[Partition]) -> None:
        """Commit where ``partitions`` are left, in order, before their next owner asks; `forget` them after it."""
        left: dict[Partition, tuple[int, Mark]] = {}
        for partition in partitions:
            place = self._places.get(partition)
            if place is not None and place.begun and place.position is not None:
                leaving = (place.position, place.left_in_order)
                if leaving != place.committed and not place.is_behind_kafka:
                    left[partition] = leaving
        deadline = self._clock() + _LAST_TRIES
        while left:
            try:
                self._commit(client, left, _commit_directly)
            except KafkaException as error:
                if error.args[0].code() in _REBALANCING and self._clock() < deadline:
                    time.sleep(_PAUSE)
                    continue
                _log_uncommitted(error)
            break

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop ``partitions``: their new owner begins at the last commit."""
        for partition in partitions:
            self._places.pop(partition, None)

    def build_offset(self, partition: Partition, offset: int, *, messages: int) -> TopicPartition:
        """Return what somebody else has to commit when ``messages`` more are done, all before ``offset``."""
        place = self._places.get(partition, Place())
        after = replace(place, position=offset, alone=max(0, place.alone - messages), crashes=0, failures=0)
        return TopicPartition(*partition, offset, metadata=format_mark(self._mark(after)))

    def note_committed(self, place: Place, offset: int) -> None:
        """Note that somebody else has committed ``offset``, as `build_offset` has it: a transaction."""
        place.committed = (offset, Mark(self._find_hand(place)))

    def _find_hand(self, place: Place) -> int:
        if place.alone:
            return place.alone
        return self._in_hand if self._interval is None or place.is_exact else UNKNOWN

    def _mark(self, place: Place) -> Mark:
        return Mark(self._find_hand(place), place.crashes, place.failures)

    def _is_uncommitted(self, place: Place) -> bool:
        return place.begun and (place.position, self._mark(place)) != place.committed

    def _try_commit(
        self,
        client: Consumer,
        partitions: Iterable[Partition],
        make: MakeCommit | None = None,
    ) -> None:
        offsets = {}
        for partition in partitions:
            place = self._places[partition]
            if place.position is not None and not place.is_behind_kafka:
                offsets[partition] = (place.position, self._mark(place))
        if offsets:
            try:
                self._commit(client, offsets, make or self._make_commit)
            except KafkaException as error:
                _log_uncommitted(error)
            except NoAnswer:
                log.warning("offsets not committed", why="Kafka has not answered before the end")

    def _commit(
        self,
        client: Consumer,
        offsets: Mapping[Partition, tuple[int, Mark]],
        make: MakeCommit,
    ) -> None:
        to_commit = [
            TopicPartition(*partition, offset, metadata=format_mark(mark))
            for partition, (offset, mark) in offsets.items()
        ]
        done = make(lambda: client.commit(offsets=to_commit, asynchronous=False))
        raise_partition_errors(done)
        for partition, (offset, mark) in offsets.items():
            place = self._places.get(partition)
            if place is not None:
                place.committed = (offset, mark)


def to_partitions(places: Iterable[TopicPartition]) -> set[Partition]:
    """Return the places without their offsets."""
    return {(place.topic, place.partition) for place in places}


def raise_partition_errors(committed: Iterable[TopicPartition] | None) -> None:
    """Raise KafkaException for the first partition whose offset was not committed."""
    for place in committed or ():
        if place.error is not None:
            raise KafkaException(place.error)


def _find_end(client: Consumer, place: TopicPartition) -> int:
    """Return the offset behind everything that the last owner can have had in hand."""
    try:
        return int(client.get_watermark_offsets(place, timeout=_REQUEST)[1])
    except KafkaException:
        return sys.maxsize


def _log_uncommitted(error: KafkaException) -> None:
    log.warning("offsets not committed", code=error.args[0].name(), why=error.args[0].str())
