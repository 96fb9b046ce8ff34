"""What a handler is given, and what becomes of the messages by what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from consumers.records import Outgoing, Record, Reject, RetryLater
from telemetry.dead_letters import Cause
from telemetry.errors import QueueFull
from unit.consumers.calling import Recorder, items, offsets, raising, reasons, run


class TestWhatAHandlerIsGiven:
    def test_a_batch_handler_gets_a_list_of_values(self) -> None:
        handler = Recorder()
        run(handler, items(0, 0, 1))
        assert handler.given == [[0, 1, 2]]

    def test_any_other_gets_one_value_at_a_time(self) -> None:
        handler = Recorder()
        run(handler, items(0, 0, 1), batch=False)
        assert handler.given == [0, 1, 2]

    @pytest.mark.parametrize("batch", [True, False])
    def test_a_handler_that_wants_records_gets_records(self, batch: bool) -> None:
        # Given
        class Wanting(Recorder):
            wants_records = True

        handler, batch_items = Wanting(), items(0, 1)
        # When
        run(handler, batch_items, batch=batch)
        # Then
        records = [item.record for item in batch_items]
        assert handler.given == ([records] if batch else records)
        assert all(isinstance(record, Record) for record in records)

    @pytest.mark.parametrize("count", [1, 3])
    def test_isolated_a_batch_handler_gets_lists_of_one(self, count: int) -> None:
        handler = Recorder()
        run(handler, items(*[0] * count), isolate=True)
        assert handler.given == [[offset] for offset in range(count)]

    def test_what_could_not_be_decoded_is_passed_through_and_not_handed_over(self) -> None:
        # Given three messages of which the second is a dead letter already
        batch, handler = items(0, 0, 0), Recorder()
        batch[1].cause = cause = Cause("not_json", "no", "decode", "E")
        # When
        outcomes = run(handler, batch)
        # Then it has an outcome and nobody saw it
        assert handler.given == [[0, 2]]
        assert sorted(offset for outcome in outcomes for offset in offsets(outcome)) == [0, 1, 2]
        assert [item.cause for item in batch] == [None, cause, None]

    def test_if_nothing_could_be_decoded_the_handler_is_not_called(self) -> None:
        batch, handler = items(0, 0), Recorder()
        for item in batch:
            item.cause = Cause("not_json", "no", "decode", "E")
        assert list(map(offsets, run(handler, batch))) == [[0, 1]]
        assert handler.given == []

    def test_what_was_done_in_an_earlier_try_is_left_out(self) -> None:
        # Given a held partition of which one message is done and one dead, both in Kafka
        batch, handler = items(0, 0, 0), Recorder()
        batch[1].done = batch[2].done = True
        batch[2].cause = Cause("r", "m", "handle", "E")
        # When it is handed over again, Then they have no second outcome
        assert list(map(offsets, run(handler, batch))) == [[0]]
        assert handler.given == [[0]]

    @pytest.mark.parametrize("batch", [True, False])
    def test_what_another_group_is_to_handle_is_left_out(self, batch: bool) -> None:
        handler, messages = Recorder(), items(0, 0, 0)
        messages[1].skipped = messages[1].done = True
        outcomes = run(handler, messages, batch=batch)
        assert handler.given == ([[0, 2]] if batch else [0, 2])
        assert [offset for outcome in outcomes for offset in offsets(outcome)] == [0, 2]

    def test_without_messages_it_is_not_called(self) -> None:
        handler = Recorder()
        assert run(handler, []) == []
        assert handler.given == []


class TestWhatItGivesBack:
    @pytest.mark.parametrize("nothing", [None, [], (), iter(())])
    def test_nothing_means_done(self, nothing: object) -> None:
        [outcome] = run(Recorder(lambda _: nothing), items(0, 1))
        assert (offsets(outcome), outcome.outgoing, outcome.retry) == ([0, 1], [], None)

    @pytest.mark.parametrize(
        "give",
        [
            lambda: [Outgoing("x", b"1"), Outgoing(value=b"2", key="k")],
            lambda: (part for part in (Outgoing("x", b"1"), Outgoing(value=b"2", key="k"))),
            lambda: (Outgoing("x", b"1"), Outgoing(value=b"2", key="k")),
        ],
        ids=["list", "generator", "tuple"],
    )
    def test_outgoing_messages_go_with_the_batch_that_they_came_of(self, give: Callable[[], object]) -> None:
        [outcome] = run(Recorder(lambda _: give()), items(0, 1))
        assert offsets(outcome) == [0, 1]
        assert [(o.topic, o.value, o.key) for o in outcome.outgoing] == [("x", b"1", None), (None, b"2", b"k")]

    def test_a_single_outgoing_needs_no_list(self) -> None:
        [outcome] = run(Recorder(lambda _: Outgoing(value=b"1")), items(0), batch=False)
        assert [outgoing.value for outgoing in outcome.outgoing] == [b"1"]

    @pytest.mark.parametrize(
        ("value", "encoded"),
        [(b"\xff", b"\xff"), (None, None), ({"a": [1, True]}, b'{"a":[1,true]}'), ("text", b'"text"'), (0, b"0")],
    )
    def test_values_are_bytes_or_become_json(self, value: object, encoded: bytes | None) -> None:
        [outcome] = run(Recorder(lambda _: Outgoing(value=value)), items(0))
        assert outcome.outgoing[0].value == encoded

    def test_keys_and_headers_become_bytes(self) -> None:
        outgoing = Outgoing(value=b"", key="ä", headers=(("a", "ä"), ("b", b"\xff"), ("c", None)))
        [outcome] = run(Recorder(lambda _: outgoing), items(0))
        assert outcome.outgoing[0].key == "ä".encode()
        assert outcome.outgoing[0].headers == [("a", "ä".encode()), ("b", b"\xff"), ("c", None)]

    def test_the_marks_of_a_replay_stay_behind(self) -> None:
        """Copied on, ``replay.group`` would make every group of the output topic skip the message."""
        record_headers = (("id", b"7"), ("replay.group", b"g"), ("replay.attempt", b"1"), ("replay.of", b"0:3"))
        (outcome,) = run(Recorder(lambda _: Outgoing(value=b"", headers=record_headers)), items(0))
        assert outcome.outgoing[0].headers == [("id", b"7")]

    @pytest.mark.parametrize("batch", [True, False])
    def test_rejects_are_dead_letters_and_the_others_are_done(self, batch: bool) -> None:
        # Given a handler that rejects every second message of what it is given
        def deed(payload: Any) -> Any:
            values = payload if batch else [payload]
            for place, value in enumerate(values):
                yield Reject("odd", f"{value} is odd", place, stage="validate") if value % 2 else Outgoing(value=value)

        messages = items(0, 0, 1, 1)
        # When
        outcomes = run(Recorder(deed), messages, batch=batch)
        # Then
        assert [item.cause for item in messages] == [
            None,
            Cause("odd", "1 is odd", "validate", "consumers.records.Reject", 1),
            None,
            Cause("odd", "3 is odd", "validate", "consumers.records.Reject", 1),
        ]
        assert [outgoing.value for outcome in outcomes for outgoing in outcome.outgoing] == [b"0", b"2"]
        assert all(outcome.retry is None for outcome in outcomes)

    def test_a_reject_tells_the_error_that_it_came_from(self) -> None:
        reject = Reject("late", "too late")
        reject.__cause__ = KeyError("ts")
        [item] = batch = items(0)
        run(Recorder(lambda _: reject), batch)
        assert item.cause == Cause("late", "too late", "handle", "builtins.KeyError", 1)

    @pytest.mark.parametrize("index", [None, 3, -1, 99])
    def test_a_reject_of_no_place_in_the_batch_is_asked_for_one_by_one(self, index: int | None) -> None:
        # Given a handler that rejects without saying what
        handler = Recorder(lambda payload: [Reject("bad", "one of them", index)] if 1 in payload else None)
        messages = items(0, 0, 0)
        # When
        run(handler, messages)
        # Then the batch is handed over again, message by message, and only the bad one is dead
        assert handler.given == [[0, 1, 2], [0], [1], [2]]
        assert reasons(messages) == [None, "bad", None]

    def test_such_a_reject_beside_a_right_one_leaves_nothing_behind(self) -> None:
        # Given a batch in which the first is rejected by its place, and another by a place that is none; alone all pass
        def deed(payload: list[int]) -> Any:
            if len(payload) > 1:
                return [Reject("a", "a", 0), Reject("b", "b", 99)]
            return Outgoing(value=payload[0])

        messages = items(0, 0, 0)
        # When
        outcomes = run(Recorder(deed), messages)
        # Then what it says of a message alone is what counts
        assert reasons(messages) == [None, None, None]
        assert [outgoing.value for outcome in outcomes for outgoing in outcome.outgoing] == [b"0", b"1", b"2"]


class TestWaiting:
    @pytest.mark.parametrize(
        "error",
        [RetryLater("busy", after=3), RetryLater(), ConnectionError("gone"), TimeoutError("slow"), QueueFull("full")],
        ids=repr,
    )
    @pytest.mark.parametrize("batch", [True, False])
    def test_what_passes_by_itself_is_no_attempt(self, error: Exception, batch: bool) -> None:
        # Given one message that is tried far more often than a failure may be
        [item] = messages = items(0)
        for _ in range(10):
            [outcome] = run(Recorder(raising(error)), messages, batch=batch)
            # Then it waits, and nothing counts against it
            assert outcome.retry is not None
            assert outcome.outgoing == []
            assert (item.attempts, item.cause) == (0, None)

    @pytest.mark.parametrize("batch", [True, False])
    @pytest.mark.parametrize("give", [lambda later: later, lambda later: [Outgoing(value=b"1"), later]])
    def test_given_back_it_is_the_same_as_raised(self, give: Callable[[RetryLater], object], batch: bool) -> None:
        [item] = messages = items(0)
        [outcome] = run(Recorder(lambda _: give(RetryLater("busy", after=3))), messages, batch=batch)
        assert outcome.retry is not None
        assert (outcome.retry.after, outcome.outgoing, item.attempts) == (3, [], 0)

    def test_the_handler_says_for_how_long(self) -> None:
        [outcome] = run(Recorder(raising(RetryLater("busy", after=2.5))), items(0, 1))
        assert outcome.retry is not None
        assert (outcome.retry.after, str(outcome.retry), offsets(outcome)) == (2.5, "busy", [0, 1])

    def test_a_known_error_waits_longer_each_time_and_says_why(self) -> None:
        [outcome] = run(Recorder(raising(ConnectionRefusedError("db:5432"))), items(0, 1))
        assert outcome.retry is not None
        assert (outcome.retry.after, str(outcome.retry)) == (None, "ConnectionRefusedError: db:5432")

    def test_what_it_yielded_before_is_not_produced(self) -> None:
        def deed(_: Any) -> Any:
            yield Outgoing(value=b"1")
            raise RetryLater

        for batch in (True, False):
            [outcome] = run(Recorder(deed), items(0), batch=batch)
            assert (outcome.outgoing, outcome.retry is None) == ([], False)

    def test_alone_it_holds_up_its_own_partition_only(self) -> None:
        # Given 0 and 2 of one partition, 1 and 3 of another, and a handler that has no time for 0
        handler = Recorder(lambda value: raising(RetryLater())(value) if value == 0 else None)
        # When
        outcomes = run(handler, items(0, 1, 0, 1), batch=False)
        # Then 2 is not handed over before 0
        assert handler.given == [0, 1, 3]
        assert [(offsets(outcome), outcome.retry is None) for outcome in outcomes] == [
            ([0], False),
            ([1], True),
            ([3], True),
        ]


class TestStopping:
    @pytest.mark.parametrize("batch", [True, False])
    def test_once_asked_to_stop_nothing_is_handed_over(self, batch: bool) -> None:
        handler, messages = Recorder(), items(0, 0)
        assert run(handler, messages, batch=batch, stopping=lambda: True) == []
        assert handler.given == []
        assert reasons(messages) == [None, None]

    def test_what_is_in_hand_is_finished_and_the_rest_left(self) -> None:
        handler = Recorder()
        outcomes = run(handler, items(0, 0, 0), batch=False, stopping=lambda: len(handler.given) >= 2)
        assert list(map(offsets, outcomes)) == [[0], [1]]

    def test_between_two_tries_of_a_batch_too(self) -> None:
        handler, messages = Recorder(raising(Reject("r", "m", 0))), items(0, 0, 0)
        outcomes = run(handler, messages, stopping=lambda: len(handler.given) >= 1)
        assert list(map(offsets, outcomes)) == [[0]]
        assert reasons(messages) == ["r", None, None]


def test_each_call_is_measured() -> None:
    # Given
    names = (
        "iothub_consumer_handle_seconds_count",
        "iothub_consumer_batch_size_count",
        "iothub_consumer_batch_size_sum",
    )
    before = [REGISTRY.get_sample_value(name) or 0 for name in names]
    # When one call is a batch of three, and one fails
    run(Recorder(), items(0, 0, 0))
    run(Recorder(raising(ValueError())), items(0))
    # Then
    after = [REGISTRY.get_sample_value(name) or 0 for name in names]
    assert [new - old for old, new in zip(before, after, strict=True)] == [2, 2, 4]
