"""Reading a topic's records: no group is joined, nothing is committed.

What lay in the topic when reading began comes first, merged over the partitions by time (and never out of a
partition's order); then, when following, what comes, as it comes.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.records import Record
from iothub.kafka.client import REQUEST_SECONDS, Kafka, connect
from iothub.kafka.starts import At, Beginning, End, Last, Since, Start
from iothub.target import Target

_LONGEST_BLOCK = 0.1
"""Longest single wait inside librdkafka, in seconds: a stop is seen in between."""
_AT_ONCE = 500
_FULL_RECORDS = 20_000
_FULL_BYTES = 16 * 1024 * 1024
"""With more of one partition in hand, no more is fetched until the others have caught up: memory stays bounded.

Each such pause throws away what librdkafka has fetched ahead, so it has to be rare.
"""
_ELECTION_SECONDS = 15.0
"""How long a partition may take to get a leader; a broker that was away for a while needs some seconds to be one."""
_SILENCE_SECONDS = 30.0
"""What lies in Kafka comes sooner than this, or Kafka does not answer."""


def read_records(
    where: Target | Kafka,
    topic: str,
    *,
    start: Start | None = None,
    follow: bool = False,
    partitions: Collection[int] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    report: Callable[[str], None] = lambda sentence: None,
) -> Iterator[Record]:
    """Yield the records of ``topic`` from ``start`` (the beginning, if none is given), values as bytes.

    Without ``follow`` it ends with the last record that was there at the start of reading; with it, never, except
    that ``stopping``, asked about ten times a second, says so. ``partitions`` leaves the others out; ``report`` is
    told what can't be read now: partitions without a leader, and that Kafka went away while following, which is
    waited for. Raises UsageError for a topic that does not exist and Unavailable where Kafka does not answer.
    """
    kafka = connect(where)
    numbers = kafka.find_topic(topic).partitions
    wanted = [number for number in sorted(numbers) if partitions is None or number in partitions]
    with kafka.open_consumer(**{"enable.partition.eof": True, "auto.offset.reset": "earliest"}) as consumer:
        reading = _Reading(kafka, consumer, topic, wanted, stopping=stopping, report=report)
        yield from reading.read_stored(start or Beginning(), follow=follow)
        if follow:
            yield from reading.follow()


class _Reading:
    def __init__(
        self,
        kafka: Kafka,
        consumer: Consumer,
        topic: str,
        partitions: list[int],
        *,
        stopping: Callable[[], bool],
        report: Callable[[str], None],
    ) -> None:
        self._kafka = kafka
        self._consumer = consumer
        self._topic = topic
        self._partitions = partitions
        self._stopping = stopping
        self._report = report
        self._merge = Merge()

    def read_stored(self, start: Start, *, follow: bool) -> Iterator[Record]:
        """Yield what lies in the topic; with ``follow``, what has come meanwhile stays in hand."""
        try:
            self._begin(start)
        except KafkaException as error:
            self._kafka.fail(error.args[0])
        stored = self._consume_stored(follow)
        if isinstance(start, Last):
            stored = iter(deque(stored, start.number))
        elif isinstance(start, Since):
            stored = (record for record in stored if record.timestamp >= start.milliseconds)
        yield from stored

    def follow(self) -> Iterator[Record]:
        """Yield what comes, until a stop."""
        away = False
        while not self._stopping():
            for message in self._consumer.consume(_AT_ONCE, _LONGEST_BLOCK):
                self._take(message, keep_later=True)
            yield from self._merge.drain()
            if away != self._kafka.is_away:
                away = self._kafka.is_away
                self._report(f"{self._kafka.target.title} {'is away; waiting for it' if away else 'is back'}")

    def _begin(self, start: Start) -> None:
        """Assign every partition at its place, and tell the merge where what lies in it ends."""
        places = [(self._topic, number) for number in self._partitions]
        marks = self._kafka.read_watermarks(places, patience=_ELECTION_SECONDS)
        if places and not marks:
            self._kafka.fail()
        begins = {number: self._find_begin(start, number, *mark) for (_, number), mark in marks.items()}
        if isinstance(start, Since) and not self._kafka.in_memory:
            begins = self._find_times(start, {number: high for (_, number), (_, high) in marks.items()})
        for (_, number), (_, high) in marks.items():
            if begins[number] < high:
                self._merge.expect(number, high)
        missing = [str(number) for number in self._partitions if number not in begins]
        if missing:
            self._report(f"left out, since they have no leader now: partitions {', '.join(missing)} of {self._topic}")
        # When following, they may get one.
        self._consumer.assign([TopicPartition(*place, begins.get(place[1], 0)) for place in places])

    def _find_begin(self, start: Start, number: int, low: int, high: int) -> int:
        match start:
            case End():
                return high
            case Last(wanted):
                # The last of the topic may all lie in one partition.
                return max(low, high - wanted)
            case At(offset):
                return min(max(low, offset), high)
            case _:
                return low

    def _find_times(self, start: Since, ends: dict[int, int]) -> dict[int, int]:
        asked = [TopicPartition(self._topic, number, start.milliseconds) for number in ends]
        found = self._consumer.offsets_for_times(asked, timeout=REQUEST_SECONDS) if asked else []
        # Nothing as young as that: only what comes.
        return {place.partition: place.offset if place.offset >= 0 else ends[place.partition] for place in found}

    def _consume_stored(self, follow: bool) -> Iterator[Record]:
        # Only the time that is spent here counts: whoever takes the records may take long over each.
        silence = 0.0
        paused: set[int] = set()
        while self._merge.is_waiting and not self._stopping():
            began = time.monotonic()
            messages = self._consumer.consume(_AT_ONCE, _LONGEST_BLOCK)
            for message in messages:
                self._take(message, keep_later=follow)
            silence = 0.0 if messages else silence + time.monotonic() - began
            if silence > _SILENCE_SECONDS:
                self._kafka.fail()
            yield from self._merge.pop_ready()
            paused = self._balance(paused)
        if paused:
            self._consumer.resume([TopicPartition(self._topic, number) for number in paused])
        yield from self._merge.drain()

    def _take(self, message: Message, *, keep_later: bool) -> None:
        error, number, offset = message.error(), message.partition(), message.offset()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            self._kafka.is_away = False
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF and number is not None and offset is not None:
                self._merge.reach(number, offset)
            elif error.fatal() or error.code() in {
                KafkaError.TOPIC_AUTHORIZATION_FAILED,
                KafkaError.UNKNOWN_TOPIC_OR_PART,
                KafkaError._UNKNOWN_TOPIC,
                KafkaError._UNKNOWN_PARTITION,
            }:
                self._kafka.fail(error)
            return
        self._merge.take(to_record(message), keep_later=keep_later)

    def _balance(self, paused: set[int]) -> set[int]:
        """Let the partitions that are far ahead wait, so that memory stays bounded; return which wait now."""
        ahead = self._merge.find_full()
        topic = self._topic
        if ahead - paused:
            self._consumer.pause([TopicPartition(topic, number) for number in ahead - paused])
        if paused - ahead:
            self._consumer.resume([TopicPartition(topic, number) for number in paused - ahead])
        return ahead


class Merge:
    """Records of several partitions, put in order of time. Pure.

    Only the first in hand of each partition are compared, so that those of one partition stay in their order, even
    where a clock was set back.
    """

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        """The partitions that have stored records to come, with the offset where those end."""
        self._hands: dict[int, deque[tuple[tuple[int, int, int], Record]]] = {}
        self._bytes: dict[int, int] = {}

    def expect(self, partition: int, end: int) -> None:
        """Wait for the records of ``partition`` before offset ``end``."""
        self._ends[partition] = end

    def take(self, record: Record, *, keep_later: bool) -> None:
        """Take the next record of its partition; one behind the expected end counts only with ``keep_later``."""
        end = self._ends.get(record.partition)
        if end is None or record.offset >= end:
            self.reach(record.partition, record.offset)
            if not keep_later:
                return
        place = (record.timestamp, record.partition, record.offset)
        self._hands.setdefault(record.partition, deque()).append((place, record))
        self._bytes[record.partition] = self._bytes.get(record.partition, 0) + len(record.value or b"")
        self.reach(record.partition, record.offset + 1)

    def reach(self, partition: int, offset: int) -> None:
        """Note that nothing before ``offset`` is still to come from ``partition``."""
        if offset >= self._ends.get(partition, offset + 1):
            del self._ends[partition]

    @property
    def is_waiting(self) -> bool:
        """Whether stored records are still to come."""
        return bool(self._ends)

    def pop_ready(self) -> Iterator[Record]:
        """Yield what can't be preceded by anything that is still to come."""
        while all(self._hands.get(partition) for partition in self._ends):
            heads = [hand for hand in self._hands.values() if hand]
            if not heads or not self._ends:
                return
            record = min(heads, key=lambda hand: hand[0][0]).popleft()[1]
            self._bytes[record.partition] -= len(record.value or b"")
            yield record

    def drain(self) -> Iterator[Record]:
        """Yield everything in hand."""
        hands = [hand for hand in self._hands.values() if hand]
        self._hands, self._bytes = {}, {}
        yield from (record for _, record in heapq.merge(*hands))

    def find_full(self) -> set[int]:
        """Return the partitions that are far ahead of the others."""
        return {
            partition
            for partition, hand in self._hands.items()
            if len(hand) > _FULL_RECORDS or self._bytes[partition] > _FULL_BYTES
        }


def to_record(message: Message) -> Record:
    """Return a message as a record, its value as it is."""
    headers = message.headers() or []
    return Record(
        message.value(),
        message.key(),
        headers,  # type: ignore[arg-type]
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
    )
