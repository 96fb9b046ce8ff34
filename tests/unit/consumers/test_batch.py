"""A batch looked at as a whole gives what a look at each message gives."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Message

from consumers.batch import Batch
from consumers.calls import HandlerCalls, Outcome
from consumers.records import Outgoing, Record, Reject, RetryLater


def message(
    offset: int, value: bytes | None, *, topic: str = "t", partition: int = 0, headers: Any = None, key: bytes = b"k"
) -> Message:
    return Message(
        topic=topic,
        partition=partition,
        offset=offset,
        key=key,
        value=value,
        headers=headers,
        timestamp=(1, 1000 + offset),
    )


def batch_of(*messages: Message, decode: bool = True, records: bool = False, group: str = "g") -> Batch:
    return Batch(messages, decode=decode, records=records, group=group)


class Handler:
    """Does what it is told at a value, and notes what it was given."""

    def __init__(self, deeds: dict[Any, Any] | None = None, *, batch: bool = True) -> None:
        self.deeds = deeds or {}
        self.batch = batch
        self.calls: list[Any] = []

    def handle(self, payload: Any) -> Any:
        self.calls.append(payload)
        given: list[Any] = []
        for index, value in enumerate(payload if self.batch else [payload]):
            deed = self.deeds.get(value)
            if isinstance(deed, type) and issubclass(deed, Exception):
                raise deed("told to")
            if deed == "reject":
                given.append(Reject("told", "told to", index if self.batch else None))
            elif deed == "send":
                given.append(Outgoing(value=value, key=b"k"))
        return given


def run(batch: Batch, handler: Handler, *, stop_after: int | None = None) -> list[Outcome]:
    calls = HandlerCalls(
        handler,
        batch=handler.batch,
        max_attempts=3,
        stopping=lambda: stop_after is not None and len(handler.calls) >= stop_after,
    )
    outcomes = list(calls.run_batch(batch))
    for outcome in outcomes:
        if outcome.retry is None:
            outcome.finish()
    return outcomes


def test_where_all_goes_well_no_message_is_looked_at() -> None:
    batch = batch_of(message(1, b"1"), message(2, b"2", partition=1), message(3, b"3"))
    handler = Handler()
    run(batch, handler)
    assert handler.calls == [[1, 2, 3]]
    assert batch.is_done
    assert batch._items is None
    assert batch.last == {("t", 0): 3, ("t", 1): 2}
    assert Batch(batch._messages, decode=True, records=False, group="g", topic="t").last == batch.last
    assert batch.find_firsts() == {("t", 0): 1, ("t", 1): 2}


@pytest.mark.parametrize("batch_mode", [True, False])
def test_what_cannot_be_decoded_is_dead_and_the_others_are_handed_over(batch_mode: bool) -> None:
    batch = batch_of(message(1, b"1"), message(2, b"{"), message(3, b"3"), message(4, b"\xff"))
    handler = Handler(batch=batch_mode)
    run(batch, handler)
    assert handler.calls == ([[1, 3]] if batch_mode else [1, 3])
    assert [(item.record.offset, item.cause.reason if item.cause else None) for item in batch.dead] == [
        (2, "not_json"),
        (4, "not_utf8"),
    ]
    assert batch.is_done
    assert all(item.done for item in batch.items)


def test_a_reject_names_the_message_that_it_saw_whatever_lies_between() -> None:
    batch = batch_of(message(1, b"1"), message(2, b"{"), message(3, b"3"), message(4, b"4"))
    run(batch, Handler({3: "reject"}))
    assert {item.record.offset: item.cause.reason for item in batch.items if item.cause} == {2: "not_json", 3: "told"}
    assert all(item.done for item in batch.items)


def test_dead_letters_that_kafka_does_not_take_leave_only_them_undone() -> None:
    batch = batch_of(message(1, b"1"), message(2, b"{"), message(3, b"3"))
    calls = HandlerCalls(Handler(), batch=True, max_attempts=3, stopping=lambda: False)
    for outcome in calls.run_batch(batch):
        if outcome.whole is not None:
            outcome.finish()
    assert not batch.is_done
    assert [item.done for item in batch.items] == [True, False, True]


def test_only_dead_letters_in_a_batch_and_none_of_them_taken() -> None:
    batch = batch_of(message(1, b"{"))
    list(HandlerCalls(Handler(), batch=True, max_attempts=3, stopping=lambda: False).run_batch(batch))
    assert not batch.is_done
    assert [item.done for item in batch.items] == [False]


def test_an_error_is_not_asked_for_twice() -> None:
    batch = batch_of(message(1, b"1"), message(2, b"2"), message(3, b"3"))
    handler = Handler({2: ValueError})
    outcomes = run(batch, handler)
    assert handler.calls == [[1, 2, 3], [1], [2]], "behind the one that waits nothing goes on"
    assert [outcome.retry is not None for outcome in outcomes] == [False, True]
    assert [item.done for item in batch.items] == [True, False, False]


def test_one_at_a_time_what_was_handled_before_a_failure_is_done() -> None:
    batch = batch_of(*(message(offset, b"%d" % offset) for offset in range(5)))
    handler = Handler({3: RetryLater}, batch=False)
    run(batch, handler)
    assert handler.calls == [0, 1, 2, 3]
    assert [item.done for item in batch.items] == [True, True, True, False, False]


def test_one_at_a_time_what_comes_back_is_sent_in_order() -> None:
    batch = batch_of(*(message(offset, b"%d" % offset) for offset in range(5)))
    handler = Handler({1: "send", 3: "send"}, batch=False)
    outcomes = run(batch, handler)
    assert handler.calls == [0, 1, 2, 3, 4]
    assert [outgoing.value for outcome in outcomes for outgoing in outcome.outgoing] == [b"1", b"3"]
    assert all(item.done for item in batch.items)


def test_a_stop_leaves_what_was_not_handed_over() -> None:
    batch = batch_of(*(message(offset, b"%d" % offset) for offset in range(5)))
    run(batch, Handler(batch=False), stop_after=2)
    assert not batch.is_done
    assert [item.done for item in batch.items] == [True, True, False, False, False]


def test_a_replay_for_another_group_is_skipped() -> None:
    mine, other = [("replay.group", b"g")], [("id", b"1"), ("replay.group", b"other")]
    batch = batch_of(message(1, b"1", headers=other), message(2, b"2", headers=mine), message(3, b"3"))
    handler = Handler()
    run(batch, handler)
    assert handler.calls == [[2, 3]]
    assert [item.skipped for item in batch.items] == [True, False, False]
    assert all(item.done for item in batch.items)


def test_a_tombstone_is_handed_over_as_none() -> None:
    handler = Handler()
    run(batch_of(message(1, b"1"), message(2, None)), handler)
    assert handler.calls == [[1, None]]


def test_records_have_all_that_kafka_knows() -> None:
    headers: list[tuple[str, bytes | None]] = [("id", b"7"), ("none", None)]
    batch = batch_of(message(5, b"[1]", headers=headers), message(6, b"2", partition=1), records=True)
    assert batch.payloads == [
        Record([1], b"k", headers, "t", 0, 5, 1005),
        Record(2, b"k", (), "t", 1, 6, 1006),
    ]


def test_several_topics_are_counted_apart() -> None:
    batch = batch_of(message(1, b"1", topic="a"), message(1, b"1", topic="b"), message(2, b"1", topic="a"))
    assert batch.count_topics() == {"a": 2, "b": 1}
    assert batch.last == {("a", 0): 2, ("b", 0): 1}
    assert [item.record.offset for item in batch.select(("a", 0)).items] == [1, 2]
