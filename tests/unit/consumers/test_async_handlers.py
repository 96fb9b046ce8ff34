"""Handlers with async methods: one loop for all of them, for as long as the handler lives."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from consumers.async_handlers import AsyncHandler, adapt
from consumers.records import Outgoing, Reject
from unit.consumers.calling import items, run


class Plain:
    def handle(self, payload: Any) -> None: ...


class Whole:
    """Notes the loop of each of its methods."""

    wants_bytes = True

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def setup(self) -> None:
        self.loops.append(asyncio.get_running_loop())

    async def handle(self, payload: Any) -> Any:
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return Outgoing(value=payload)

    async def close(self) -> None:
        self.loops.append(asyncio.get_running_loop())


@pytest.fixture
def adapted() -> Iterator[Callable[[Any], Any]]:
    """Adapts handlers, and closes them after the test."""
    made: list[Any] = []

    def make(handler: Any) -> Any:
        made.append(adapt(handler))
        return made[-1]

    yield make
    for handler in made:
        if isinstance(handler, AsyncHandler):
            handler.close()


class TestAdapting:
    def test_a_plain_one_stays_what_it_is(self) -> None:
        handler = Plain()
        assert adapt(handler) is handler

    def test_an_adapted_one_too(self) -> None:
        handler = adapt(Whole())
        assert adapt(handler) is handler

    def test_everything_else_is_the_handlers_own(self) -> None:
        handler: Any = adapt(Whole())
        assert handler.wants_bytes is True
        assert handler.loops == []
        with pytest.raises(AttributeError, match="'Whole' object has no attribute 'wants_records'"):
            _ = handler.wants_records

    @pytest.mark.parametrize("kind", ["partial", "callable", "generator"])
    def test_async_code_is_found_wherever_it_hides(self, kind: str) -> None:
        async def work(_: str, payload: int) -> None: ...

        async def give(payload: int) -> AsyncIterator[Outgoing]:
            yield Outgoing()

        class Work:
            async def __call__(self, payload: int) -> None: ...

        class Handler:
            handle: Any = {"partial": partial(work, "x"), "callable": Work(), "generator": staticmethod(give)}[kind]

        assert isinstance(adapt(Handler()), AsyncHandler)


class TestTheLoop:
    def test_all_methods_run_on_one_which_ends_with_close(self) -> None:
        # Given
        inner = Whole()
        handler: Any = adapt(inner)
        # When
        handler.setup()
        results = [handler.handle(number) for number in range(3)]
        # Then
        assert results == [Outgoing(value=number) for number in range(3)]
        [loop] = set(inner.loops)
        assert not loop.is_closed()
        # And
        handler.close()
        assert len(inner.loops) == 5
        assert set(inner.loops) == {loop}
        assert loop.is_closed()

    def test_what_setup_makes_lives_on_in_handle(self, adapted: Callable[[Any], Any]) -> None:
        """A task, a future and a context variable are what sessions and pools are made of."""

        class Handler:
            async def setup(self) -> None:
                self.queue: asyncio.Queue[int] = asyncio.Queue()
                self.lock = asyncio.Lock()
                self.task = asyncio.create_task(self.double())

            async def double(self) -> None:
                self.seen = [2 * await self.queue.get() for _ in range(2)]

            async def handle(self, payload: int) -> None:
                async with self.lock:
                    await self.queue.put(payload)

            async def close(self) -> None:
                await self.task

        handler = adapted(Handler())
        handler.setup()
        handler.handle(1)
        handler.handle(2)
        handler.close()
        assert handler.seen == [2, 4]

    def test_plain_methods_of_such_a_handler_run_on_it_too(self, adapted: Callable[[Any], Any]) -> None:
        class Mixed:
            async def setup(self) -> None:
                self.loop = asyncio.get_running_loop()

            def handle(self, payload: int) -> Iterator[bool]:
                yield asyncio.get_running_loop() is self.loop

            def close(self) -> None:
                self.closed_on = asyncio.get_running_loop()

        handler = adapted(Mixed())
        handler.setup()
        assert handler.handle(1) == [True]
        handler.close()
        assert handler.closed_on is handler.loop

    def test_neither_setup_nor_close_need_be_there(self) -> None:
        class Handler:
            async def handle(self, payload: int) -> None:
                self.loop = asyncio.get_running_loop()

        handler: Any = adapt(Handler())
        handler.setup()
        handler.handle(1)
        handler.close()
        assert handler.loop.is_closed()

    def test_a_setup_that_fails_leaves_no_loop(self) -> None:
        class Handler(Whole):
            async def setup(self) -> None:
                await super().setup()
                raise ConnectionError("db")

        inner = Handler()
        handler: Any = adapt(inner)
        with pytest.raises(ConnectionError):
            handler.setup()
        assert inner.loops[0].is_closed()

    def test_a_close_that_fails_leaves_none_either(self) -> None:
        class Handler(Whole):
            async def close(self) -> None:
                raise ConnectionError("db")

        inner = Handler()
        handler: Any = adapt(inner)
        handler.setup()
        with pytest.raises(ConnectionError):
            handler.close()
        assert inner.loops[0].is_closed()

    def test_a_task_that_never_ends_is_cancelled_by_close(self) -> None:
        class Handler:
            cancelled = False

            async def setup(self) -> None:
                self.task = asyncio.create_task(self.wait())

            async def wait(self) -> None:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled = True
                    raise

            async def handle(self, payload: int) -> None: ...

        handler: Any = adapt(Handler())
        handler.setup()
        handler.handle(1)
        handler.close()
        assert handler.cancelled

    def test_a_signal_in_the_middle_of_a_call_leaves_the_loop_to_the_next_one(
        self, adapted: Callable[[Any], Any]
    ) -> None:
        """SIGTERM asks the consumer to stop: the call goes on to its end, and close() finds its loop."""

        class Handler(Whole):
            async def handle(self, payload: int) -> int:
                await super().handle(payload)
                signal.raise_signal(signal.SIGTERM)
                await asyncio.sleep(0)
                return payload

        asked: list[int] = []
        before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
        try:
            inner = Handler()
            handler = adapted(inner)
            handler.setup()
            assert handler.handle(7) == 7
            handler.close()
        finally:
            signal.signal(signal.SIGTERM, before)
        assert asked == [signal.SIGTERM]
        assert len(set(inner.loops)) == 1

    def test_a_person_who_interrupts_a_call_leaves_the_loop_to_close(self, adapted: Callable[[Any], Any]) -> None:
        # Given a call that waits for ever, and Ctrl-C where nobody has set a handler of signals
        class Handler(Whole):
            cancelled = False

            async def handle(self, payload: int) -> None:
                await super().handle(payload)
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGINT)
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.cancelled = True
                    raise

        inner = Handler()
        handler = adapted(inner)
        handler.setup()
        # When
        with pytest.raises(KeyboardInterrupt):
            handler.handle(1)
        # Then it was told, and what it holds can be given back in order
        assert inner.cancelled
        handler.close()
        [loop] = set(inner.loops)
        assert len(inner.loops) == 3
        assert loop.is_closed()

    def test_the_consumer_may_run_on_another_thread(self, adapted: Callable[[Any], Any]) -> None:
        inner = Whole()
        handler = adapted(inner)
        handler.setup()
        thread = threading.Thread(target=handler.handle, args=(1,))
        thread.start()
        thread.join()
        handler.close()
        assert len(inner.loops) == 3
        assert len(set(inner.loops)) == 1

    async def test_where_a_loop_runs_already_it_runs_beside_it(self) -> None:
        """As in a notebook: a consumer that is started there blocks it, and works."""
        # Given a coroutine that starts everything
        inner = Whole()
        handler: Any = adapt(inner)
        # When
        handler.setup()
        outcomes = run(handler, items(0, 0), batch=False)
        handler.close()
        # Then
        assert [outgoing.value for outcome in outcomes for outgoing in outcome.outgoing] == [b"0", b"1"]
        [loop] = set(inner.loops)
        assert loop is not asyncio.get_running_loop()
        assert loop.is_closed()

    async def test_and_fails_there_as_anywhere(self) -> None:
        class Handler:
            async def handle(self, payload: int) -> None:
                raise KeyError(payload)

        messages = items(0)
        run(Handler(), messages, batch=False, max_attempts=1)
        assert messages[0].cause is not None
        assert messages[0].cause.message == "KeyError: 0"


class TestFailures:
    @pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError("x")], ids=repr)
    def test_what_would_end_a_process_costs_the_message_alone(
        self, error: BaseException, adapted: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        # Given a handler that fails so on its first message
        class Handler:
            async def handle(self, payload: int) -> None:
                await asyncio.sleep(0)
                if payload == 0:
                    raise error

        messages = items(0, 1, 1)
        # When
        with caplog.at_level(logging.DEBUG, "asyncio"):
            run(adapted(Handler()), messages, batch=False, max_attempts=1)
            gc.collect()
        # Then the loop is there for the others, and asyncio has nothing to complain of
        assert [item.cause is None for item in messages] == [False, True, True]
        assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []

    def test_a_call_that_cancels_itself_is_one_too(self, adapted: Callable[[Any], Any]) -> None:
        class Handler:
            async def handle(self, payload: int) -> None:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)

        messages = items(0)
        run(adapted(Handler()), messages, batch=False, max_attempts=1)
        assert messages[0].cause is not None
        assert messages[0].cause.message == "RuntimeError: the handler raised CancelledError"

    def test_a_timeout_passes_by_itself(self, adapted: Callable[[Any], Any]) -> None:
        class Handler:
            async def handle(self, payload: int) -> None:
                async with asyncio.timeout(0):
                    await asyncio.Event().wait()

        [outcome] = run(adapted(Handler()), items(0), batch=False)
        assert outcome.retry is not None

    def test_of_a_task_group_one_error_decides(self, adapted: Callable[[Any], Any]) -> None:
        class Handler:
            async def handle(self, payload: list[int]) -> None:
                async with asyncio.TaskGroup() as group:
                    for place, value in enumerate(payload):
                        group.create_task(self.check(place, value))

            async def check(self, place: int, value: int) -> None:
                if value == 1:
                    raise Reject("odd", "1 is odd", place)

        messages = items(0, 0, 0)
        run(adapted(Handler()), messages)
        assert [item.cause and item.cause.reason for item in messages] == [None, "odd", None]

    def test_what_an_async_generator_gave_before_it_failed_is_not_produced(self, adapted: Callable[[Any], Any]) -> None:
        class Handler:
            async def handle(self, payload: int) -> AsyncIterator[Outgoing]:
                yield Outgoing(value=b"1")
                raise ConnectionError("db")

        [outcome] = run(adapted(Handler()), items(0), batch=False)
        assert (outcome.outgoing, outcome.retry is None) == ([], False)


def test_a_consumer_adapts_by_itself_and_leaves_no_loop_behind() -> None:
    # Given a handler that nobody has adapted
    handler = Whole()
    # When
    outcomes = run(handler, items(0, 0), batch=False)
    # Then it works, on one loop
    assert [outgoing.value for outcome in outcomes for outgoing in outcome.outgoing] == [b"0", b"1"]
    [loop] = set(handler.loops)
    # And the loop goes with the consumer
    gc.collect()
    assert loop.is_closed()
