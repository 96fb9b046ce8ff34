"""The messages of one iteration, looked at only as closely as it takes.

Where all goes well a message is never more than its payload. What a `Record` or an `Item` costs is paid for those with
which something is wrong, or whose handler asks for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, Self, cast

import orjson
from confluent_kafka import Message

from consumers.calls import Item, build_item
from consumers.holds import Partition
from consumers.records import Record
from telemetry.dead_letters import Cause
from telemetry.headers import REPLAY_GROUP

_make_record = partial(tuple.__new__, Record)
_name = itemgetter(0)


_NO_HEADERS = Cause(
    "bad_headers", "a header's name is not UTF-8, so its headers can't be read", "decode", "builtins.UnicodeDecodeError"
)


class Batch:
    """Some messages, in the order in which they came.

    ``payloads`` are what a handler is to be given, decoded values or records, one for each message that is `live`; None
    where each message has to be looked at by itself. ``last`` has, by partition, the offset of the last message.
    ``topic`` is the one that all of them are of, where there can be only one.
    """

    def __init__(
        self, messages: Sequence[Message], *, decode: bool, records: bool, group: str, topic: str | None = None
    ) -> None:
        self._messages = messages
        self._decode = decode
        self._group = group
        self._items: list[Item] | None = None
        self._known: dict[int, Item] = {}
        self._live: list[int] | None = None
        self._headers, self._unreadable = _read_headers(messages)
        self.last: Mapping[Partition, int] = _find_last(messages, topic)
        self.payloads = self._build_payloads(records=records)
        self.done = False
        """Whether all that is live is done; `Item.done` tells it of a single one."""

    @classmethod
    def of(cls, items: list[Item], *, group: str) -> Self:
        """Return a batch of messages that were looked at already: each one's payload is in its item."""
        batch = cls((), decode=False, records=False, group=group)
        batch._items = items
        batch.payloads = None
        batch.last = {item.partition: item.record.offset for item in items}
        return batch

    def __len__(self) -> int:
        return len(self._messages) if self._items is None else len(self._items)

    @property
    def items(self) -> list[Item]:
        """Every message as one in hand."""
        if self._items is None:
            self._items = [self._known.get(place) or self._make_item(place) for place in range(len(self._messages))]
            for place, item in enumerate(self._items):
                # Of those that were looked at each knows for itself.
                item.done = item.done or (self.done and place not in self._known)
        return self._items

    @property
    def dead(self) -> list[Item]:
        """The messages that are dead letters, or are to be."""
        looked_at = self._known.values() if self._items is None else self._items
        return [item for item in looked_at if item.cause is not None]

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left, and that without a look at every message."""
        return self.done and self._items is None and all(item.done for item in self._known.values())

    def find_item(self, place: int) -> Item:
        """Return the message of ``payloads[place]`` as one in hand."""
        if self._live is not None:
            place = self._live[place]
        if self._items is not None:
            return self._items[place]
        item = self._known.get(place)
        if item is None:
            item = self._known[place] = self._make_item(place)
        return item

    def find_items_from(self, place: int) -> list[Item]:
        """Return the messages of ``payloads[place:]`` as ones in hand, with what lies between them."""
        return self.items[place if self._live is None else self._live[place] :]

    def note_handled(self, count: int) -> None:
        """Note that the messages of the first ``count`` payloads are done."""
        for place in range(count) if self._live is None else self._live[:count]:
            self.items[place].done = True

    def find_firsts(self) -> dict[Partition, int]:
        """Return, by partition, the offset of the first message."""
        firsts: dict[Partition, int] = {}
        if self._items is not None:
            for item in self._items:
                firsts.setdefault(item.partition, item.record.offset)
        for message in self._messages:
            firsts.setdefault(_place(message), cast("int", message.offset()))
        return firsts

    def select(self, partition: Partition) -> Self:
        """Return those of one partition."""
        return self.of([item for item in self.items if item.partition == partition], group=self._group)

    def cut_behind_dead(self) -> Self:
        """Return, of each partition, the messages up to the first dead one."""
        ended: set[Partition] = set()
        kept = []
        for item in self.items:
            if item.partition not in ended:
                kept.append(item)
                if item.cause is not None:
                    ended.add(item.partition)
        return self.of(kept, group=self._group)

    def count_topics(self) -> Mapping[str, int]:
        """Return how many messages there are of each topic."""
        topics = {topic for topic, _ in self.last}
        if len(topics) == 1:
            return {topics.pop(): len(self)}
        return Counter(map(cast("Callable[[Message], str]", Message.topic), self._messages))

    def _build_payloads(self, *, records: bool) -> list[Any] | None:
        messages, headers = self._messages, self._headers
        if self._unreadable:
            return self._sort_out(records=records)
        if REPLAY_GROUP in map(_name, chain.from_iterable(filter(None, headers))):
            return None
        values: Iterable[Any] = map(Message.value, messages)
        if self._decode:
            try:
                values = list(map(orjson.loads, values))
            except orjson.JSONDecodeError:
                return self._sort_out(records=records)
        if not records:
            return list(values)
        times = [time for _, time in map(Message.timestamp, messages)]
        return list(
            map(
                _make_record,
                zip(
                    values,
                    map(Message.key, messages),
                    [each or () for each in headers],
                    map(Message.topic, messages),
                    map(Message.partition, messages),
                    map(Message.offset, messages),
                    times,
                    strict=True,
                ),
            )
        )

    def _sort_out(self, *, records: bool) -> list[Any]:
        """Return the payloads of the messages that can be read; the others are not live."""
        payloads: list[Any] = []
        self._live = []
        for place in range(len(self._messages)):
            item = self._make_item(place)
            if item.cause is None and not item.done:
                self._live.append(place)
                payloads.append(item.record if records else item.record.value)
            else:
                self._known[place] = item
        return payloads

    def _make_item(self, place: int) -> Item:
        message = self._messages[place]
        fields = (
            message.value(),
            message.key(),
            self._headers[place] or (),
            message.topic(),
            message.partition(),
            message.offset(),
            message.timestamp()[1],
        )
        item = build_item(Record._make(fields), decode=self._decode, group=self._group)
        if place in self._unreadable:
            item.cause = _NO_HEADERS
        return item


def _read_headers(messages: Sequence[Message]) -> tuple[list[Any], set[int]]:
    """Return each message's headers, and the places of those whose headers can't be read.

    Kafka takes any bytes as a header's name. confluent-kafka fails on what is not UTF-8, and asked again about the same
    message it brings the interpreter down: so each is asked once, here.
    """
    headers: list[Any] = []
    unreadable: set[int] = set()
    while len(headers) < len(messages):
        try:
            headers.extend(map(Message.headers, messages[len(headers) :]))
        except (SystemError, UnicodeDecodeError):
            unreadable.add(len(headers))
            headers.append(None)
    return headers, unreadable


def _find_last(messages: Sequence[Message], topic: str | None) -> Mapping[Partition, int]:
    # Maps, not loops: this is done for each message.
    offsets = cast("Iterable[int]", map(Message.offset, messages))
    numbers = cast("Iterable[int]", map(Message.partition, messages))
    if topic is None:
        topics = cast("Iterable[str]", map(Message.topic, messages))
        return dict(zip(zip(topics, numbers, strict=True), offsets, strict=True))
    return {(topic, number): offset for number, offset in dict(zip(numbers, offsets, strict=True)).items()}


def _place(message: Message) -> Partition:
    return cast("Partition", (message.topic(), message.partition()))
