"""What a handler does wrong costs the message in hand: some tries, then a dead letter; never the consumer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from structlog.typing import EventDict

from consumers.calls import HandlerCalls, Item, blame, build_item
from consumers.records import Outgoing, Record, Reject, RetryLater
from telemetry.dead_letters import Cause
from unit.consumers.calling import Recorder, items, offsets, raising, reasons, run
from unit.consumers.pipeline import REFUSAL, make_item

ODD_ANSWERS: list[Callable[[], object]] = [
    lambda: 5,
    lambda: True,
    lambda: "text",
    lambda: b"bytes",
    lambda: {"a": 1},
    lambda: [None],
    lambda: [{"a": 1}],
    lambda: [Outgoing(value=b"1"), "text"],
    lambda: Outgoing(value=object()),
    lambda: Outgoing(value={1: 2}),
    lambda: Outgoing(value=float("nan")),
    lambda: Outgoing(value={"m": {"t": float("inf")}}),
    lambda: Outgoing(value="\ud800"),
    lambda: Outgoing(key=5),  # type: ignore[arg-type]
    lambda: Outgoing(key="\ud800"),
    lambda: Outgoing("a/b"),
    lambda: Outgoing(""),
    lambda: Outgoing(5),  # type: ignore[arg-type]
    lambda: Outgoing(headers={"a": "b"}),  # type: ignore[arg-type]
    lambda: Outgoing(headers=[("a", 5)]),  # type: ignore[list-item]
    lambda: Outgoing(headers=[("a",)]),  # type: ignore[list-item]
    lambda: Outgoing(headers=[("a", "\ud800")]),
    lambda: Outgoing(headers=[("\ud800", b"a")]),
    lambda: Outgoing(headers=[(5, b"a")]),  # type: ignore[list-item]
    lambda: Reject(None, "m"),  # type: ignore[arg-type]
    lambda: Reject("r", 5),  # type: ignore[arg-type]
    lambda: Reject("r", "m", "0"),  # type: ignore[arg-type]
    lambda: Reject("r", "m", 0.0),  # type: ignore[arg-type]
    lambda: Reject("r", "m", True),
    lambda: Reject("r", "m", stage="later"),  # type: ignore[arg-type]
    lambda: RetryLater("x", after=float("nan")),
    lambda: RetryLater("x", after=-1),
    lambda: RetryLater("x", after="5"),  # type: ignore[arg-type]
]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Panic(BaseException):
    """As a library written in Rust raises one: no Exception."""


ERRORS: list[BaseException] = [
    ValueError("no"),
    KeyError("x"),
    Unspeakable(),
    AssertionError(),
    SystemExit(0),
    StopIteration(),
    asyncio.CancelledError(),
    Panic("index out of bounds"),
    ExceptionGroup("two", [ValueError("no"), KeyError("x")]),
    BaseExceptionGroup("one", [Panic("index out of bounds")]),
]


class TestItsOwnFailures:
    """What a handler does wrong is a failure of the message in hand: a bounded number of tries, then a dead letter."""

    @pytest.mark.parametrize("batch", [True, False])
    @pytest.mark.parametrize("answer", ODD_ANSWERS, ids=range(len(ODD_ANSWERS)))
    def test_an_answer_that_makes_no_sense_is_one(self, answer: Callable[[], object], batch: bool) -> None:
        self.expect_dead_letter(lambda _: answer(), batch=batch)

    @pytest.mark.parametrize("batch", [True, False])
    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_an_error_is_one(self, error: BaseException, batch: bool) -> None:
        self.expect_dead_letter(raising(error), batch=batch)

    @pytest.mark.parametrize("batch", [True, False])
    def test_a_coroutine_that_nobody_awaits_is_one(self, batch: bool) -> None:
        async def work(_: Any) -> None: ...

        item = self.expect_dead_letter(work, batch=batch)
        assert item.cause is not None
        assert "declare it with 'async def'" in item.cause.message

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (SystemExit(3), "RuntimeError: the handler called sys.exit(3)"),
            (asyncio.CancelledError("task 7"), "RuntimeError: the handler raised CancelledError: task 7"),
            (Panic("index"), "RuntimeError: the handler raised Panic: index"),
        ],
        ids=repr,
    )
    def test_what_would_end_the_process_is_told_as_a_failure(self, error: BaseException, words: str) -> None:
        [item] = messages = items(0)
        run(Recorder(raising(error)), messages, max_attempts=1)
        assert item.cause is not None
        assert (item.cause.message, item.cause.error_class) == (words, "builtins.RuntimeError")

    @pytest.mark.parametrize("batch", [True, False])
    def test_a_person_who_interrupts_is_no_failure(self, batch: bool) -> None:
        messages = items(0, 0)
        with pytest.raises(KeyboardInterrupt):
            run(Recorder(raising(KeyboardInterrupt())), messages, batch=batch)
        assert [(item.attempts, item.cause) for item in messages] == [(0, None), (0, None)]

    def expect_dead_letter(self, deed: Callable[[Any], Any], *, batch: bool) -> Item:
        [item] = messages = items(0)
        # Each try but the last leaves it waiting.
        for attempt in (1, 2):
            [outcome] = run(Recorder(deed), messages, batch=batch)
            assert outcome.retry is not None
            assert (outcome.outgoing, item.attempts, item.cause) == ([], attempt, None)
        [outcome] = run(Recorder(deed), messages, batch=batch)
        assert (outcome.retry, outcome.outgoing) == (None, [])
        assert item.cause is not None
        assert (item.cause.reason, item.cause.stage, item.cause.attempts) == ("handler_failed", "handle", 3)
        return item

    def test_the_dead_letter_holds_the_error_and_its_class(self) -> None:
        [item] = messages = items(0)
        run(Recorder(raising(KeyError("temperature"))), messages, max_attempts=1)
        assert item.cause == Cause("handler_failed", "KeyError: 'temperature'", "handle", "builtins.KeyError", 1)

    def test_an_error_without_words_is_told_by_its_class(self) -> None:
        [item] = messages = items(0)
        run(Recorder(raising(AssertionError())), messages, max_attempts=1)
        assert item.cause is not None
        assert item.cause.message == "AssertionError"

    def test_in_a_batch_each_message_is_handed_over_alone_to_find_the_bad_one(self) -> None:
        # Given a handler that can't do 1
        def deed(payload: list[int]) -> Any:
            if 1 in payload:
                raise ValueError("1")
            return [Outgoing(value=value) for value in payload]

        handler, messages = Recorder(deed), items(0, 0, 0, 1)
        # When
        outcomes = run(handler, messages)
        # Then the good one before it and the other partition are done, and what is behind it is not touched
        assert handler.given == [[0, 1, 2, 3], [0], [1], [3]]
        assert [(offsets(outcome), outcome.retry is None) for outcome in outcomes] == [
            ([0], True),
            ([1], False),
            ([3], True),
        ]
        assert [item.attempts for item in messages] == [0, 1, 0, 0]

    def test_the_log_says_which_message_and_how_many_tries_are_left(self, logged: list[EventDict]) -> None:
        messages = [make_item(7, partition=2, topic="telemetry.raw")]
        run(Recorder(raising(ValueError())), messages)
        [event] = logged
        assert (
            event.items()
            >= {
                "event": "handler failed",
                "log_level": "warning",
                "topic": "telemetry.raw",
                "partition": 2,
                "offset": 7,
                "attempt": 1,
                "of": 3,
                "problem": "ValueError",
            }.items()
        )

    @pytest.mark.parametrize("before", [0, 2], ids=["new", "tried by another process"])
    def test_its_traceback_is_in_the_log_once_however_often_it_is_tried(
        self, before: int, logged: list[EventDict]
    ) -> None:
        [item] = messages = items(0)
        item.attempts = before
        for _ in range(3):
            run(Recorder(raising(ValueError("no"))), messages, max_attempts=9)
        assert [bool(event["exc_info"]) for event in logged] == [True, False, False]
        assert {event["problem"] for event in logged} == {"ValueError: no"}

    def test_of_batches_that_fail_only_together_the_first_has_a_traceback(self, logged: list[EventDict]) -> None:
        # Given a handler that can't do two at once: nothing else would ever show where
        handler = Recorder(lambda payload: raising(ValueError("two"))(payload) if len(payload) > 1 else None)
        calls = HandlerCalls(handler, batch=True, max_attempts=3, stopping=lambda: False)
        # When
        for _ in range(3):
            list(calls.run(items(0, 0)))
        # Then
        assert [(event["event"], bool(event["exc_info"])) for event in logged] == [
            ("batch failed, handing over one by one", first) for first in (True, False, False)
        ]

    def test_failing_together_is_no_attempt_of_anybodys(self) -> None:
        handler = Recorder(lambda payload: raising(ValueError())(payload) if len(payload) > 1 else None)
        messages = items(0, 0)
        run(handler, messages)
        assert [item.attempts for item in messages] == [0, 0]

    def test_a_reject_counts_the_tries_before_it(self) -> None:
        [item] = messages = items(0)
        run(Recorder(raising(ValueError())), messages)
        run(Recorder(lambda _: Reject("r", "m")), messages)
        assert item.cause is not None
        assert item.cause.attempts == 2


class TestTriedAgain:
    """A message is handed over each time as it came, whatever its handler did to it the time before."""

    @pytest.mark.parametrize("records", [False, True])
    @pytest.mark.parametrize("batch", [False, True])
    def test_what_a_handler_does_to_a_value_does_not_fail_its_next_try(self, batch: bool, records: bool) -> None:
        # Given a handler that takes something out of each message, and can't do one of them
        class Handler:
            wants_records = records

            def handle(self, payload: Any) -> Any:
                for one in payload if batch else [payload]:
                    value = one.value if records else one
                    if value.pop("name") == "bad":
                        raise ValueError("bad")

        messages = [build(0, b'{"name":"good"}'), build(1, b'{"name":"bad"}'), build(2, b'{"name":"good"}')]
        # When all are handed over until they are done or dead
        for _ in range(3):
            for outcome in run(Handler(), messages, batch=batch, isolate=any(item.attempts for item in messages)):
                for item in outcome.items:
                    item.done = outcome.retry is None
        # Then the good ones are done, and the bad one is dead of what was wrong with it
        assert [item.done for item in messages] == [True, True, True]
        assert [item.cause and item.cause.message for item in messages] == [None, "ValueError: bad", None]

    def test_nor_does_it_change_the_dead_letter(self) -> None:
        message = build(0, b'{"name":"bad"}')
        run(Recorder(lambda value: value.clear() or 1 / 0), [message], batch=False, max_attempts=1)
        assert message.raw == b'{"name":"bad"}'


def build(offset: int, raw: bytes) -> Item:
    return build_item(Record(raw, None, (), "t", 0, offset, 0), decode=True, group="g")


class TestRaisedReject:
    def test_the_others_are_handed_over_again_without_it(self) -> None:
        # Given a handler that raises at the first odd one
        def deed(payload: list[int]) -> Any:
            for place, value in enumerate(payload):
                if value % 2:
                    raise Reject("odd", f"{value}", place)
            return [Outgoing(value=value) for value in payload]

        handler, messages = Recorder(deed), items(0, 0, 0, 0)
        # When
        outcomes = run(handler, messages)
        # Then
        assert handler.given == [[0, 1, 2, 3], [0, 2, 3], [0], [2]]
        assert reasons(messages) == [None, "odd", None, "odd"]
        assert [outgoing.value for outcome in outcomes for outgoing in outcome.outgoing] == [b"0", b"2"]

    @pytest.mark.parametrize("bad", [1, 2, 3, 10])
    def test_however_many_are_bad_a_good_one_comes_three_times_at_most(self, bad: int) -> None:
        # Given a batch of which the last ones are bad, and a handler that tells of one at a time
        def deed(payload: list[int]) -> None:
            for place, value in enumerate(payload):
                if value >= 10:
                    raise Reject("bad", f"{value}", place)

        handler, messages = Recorder(deed), items(*[0] * (10 + bad))
        # When
        run(handler, messages)
        # Then
        assert reasons(messages) == [None] * 10 + ["bad"] * bad
        seen = Counter(value for payload in handler.given for value in payload)
        assert {seen[good] for good in range(10)} == {2 if bad == 1 else 3}

    def test_if_it_was_the_only_one_nothing_is_handed_over_again(self) -> None:
        handler, messages = Recorder(raising(Reject("r", "m", 0))), items(0, 0)
        run(handler, messages)
        assert handler.given == [[0, 1], [1]]
        assert reasons(messages) == ["r", "r"]

    @pytest.mark.parametrize("index", [None, 7, -1])
    def test_without_a_place_in_the_batch_it_is_looked_for_one_by_one(self, index: int | None) -> None:
        def deed(payload: list[int]) -> None:
            if 1 in payload:
                raise Reject("bad", "one of them", index)

        handler, messages = Recorder(deed), items(0, 0, 0)
        run(handler, messages)
        assert handler.given == [[0, 1, 2], [0], [1], [2]]
        assert reasons(messages) == [None, "bad", None]

    @pytest.mark.parametrize("index", [None, 0, 7])
    def test_alone_it_is_the_one_message_whatever_the_place(self, index: int | None) -> None:
        [item] = messages = items(0)
        run(Recorder(raising(Reject("r", "m", index, stage="validate"))), messages, batch=False)
        assert item.cause == Cause("r", "m", "validate", "consumers.records.Reject", 1)

    def test_it_tells_the_error_that_it_was_raised_from(self) -> None:
        reject = Reject("r", "m")
        reject.__cause__ = ZeroDivisionError()
        [item] = messages = items(0)
        run(Recorder(raising(reject)), messages, batch=False)
        assert item.cause is not None
        assert item.cause.error_class == "builtins.ZeroDivisionError"

    def test_a_class_of_its_own_need_not_call_ours(self) -> None:
        class Refused(Reject):
            def __init__(self) -> None:
                pass

        [item] = messages = items(0)
        run(Recorder(raising(Refused())), messages, max_attempts=1)
        assert item.cause is not None


class TestSeveralErrorsAtOnce:
    """An `asyncio.TaskGroup` raises what its tasks raise together: one of them decides."""

    @pytest.mark.parametrize("batch", [True, False])
    def test_if_all_pass_by_themselves_so_does_the_whole(self, batch: bool) -> None:
        error = ExceptionGroup("g", [ConnectionError("db"), ExceptionGroup("h", [RetryLater("busy")])])
        [item] = messages = items(0)
        [outcome] = run(Recorder(raising(error)), messages, batch=batch)
        assert str(outcome.retry) == "ConnectionError: db"
        assert item.attempts == 0

    @pytest.mark.parametrize("passing", [ConnectionError("db"), RetryLater("busy")], ids=repr)
    def test_one_failure_among_them_counts(self, passing: Exception) -> None:
        error = ExceptionGroup("g", [passing, Reject("r", "m"), ValueError("no")])
        [item] = messages = items(0)
        run(Recorder(raising(error)), messages, batch=False, max_attempts=1)
        assert item.cause == Cause("handler_failed", "ValueError: no", "handle", "builtins.ValueError", 1)

    def test_a_reject_among_what_passes_waits_with_it(self) -> None:
        error = ExceptionGroup("g", [Reject("r", "m"), ConnectionError("db")])
        [item] = messages = items(0)
        [outcome] = run(Recorder(raising(error)), messages, batch=False)
        assert outcome.retry is not None
        assert item.cause is None

    def test_a_reject_alone_is_one(self) -> None:
        def deed(payload: list[int]) -> None:
            if 1 in payload:
                raise ExceptionGroup("g", [Reject("r", "m", payload.index(1))])

        handler, messages = Recorder(deed), items(0, 0, 0)
        run(handler, messages)
        assert handler.given == [[0, 1, 2], [0, 2]]
        assert reasons(messages) == [None, "r", None]

    def test_a_person_who_interrupts_is_heard(self) -> None:
        error = BaseExceptionGroup("g", [ValueError("no"), KeyboardInterrupt()])
        with pytest.raises(KeyboardInterrupt):
            run(Recorder(raising(error)), items(0))


class TestRefusedOutput:
    """Kafka will never take what came of some messages: that is held against them, and not waited for."""

    def test_alone_a_message_is_a_dead_letter_for_it(self) -> None:
        # Given the outcome of one message
        [item] = messages = items(0)
        [outcome] = run(Recorder(lambda _: Outgoing(value=b"x")), messages)
        # When Kafka refuses it
        blame(outcome, REFUSAL)
        # Then it says so
        assert item.cause == Cause(
            "output_refused",
            "DeliveryError: telemetry.clean: Message size too large",
            "handle",
            "telemetry.errors.DeliveryError",
            1,
        )
        # And it is not handed over again
        handler = Recorder()
        assert list(map(offsets, run(handler, messages))) == [[0]]
        assert handler.given == []

    def test_of_several_each_is_handed_over_alone_first(self) -> None:
        messages = items(0, 0)
        [outcome] = run(Recorder(lambda _: Outgoing(value=b"x")), messages)
        blame(outcome, REFUSAL)
        assert reasons(messages) == [None, None]
        # An attempt is what makes a held partition be handed over one by one.
        assert [item.attempts for item in messages] == [1, 1]

    def test_whoever_is_dead_already_stays_dead_of_the_same(self) -> None:
        [item] = messages = items(0)
        [outcome] = run(Recorder(lambda _: Reject("r", "m")), messages)
        cause = item.cause
        blame(outcome, REFUSAL)
        assert item.cause is cause
        assert cause is not None
