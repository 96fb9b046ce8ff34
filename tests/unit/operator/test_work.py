"""The queue: a burst is one reconcile, one key is never worked on twice at once, failures come back later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

from telemetry_operator import work
from telemetry_operator.naming import Key
from telemetry_operator.work import WorkQueue

A, B = Key("n", "a"), Key("n", "b")


@asynccontextmanager
async def running(function: Callable[[Key], Awaitable[bool]], workers: int = 2) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(function, jitter=lambda: 0.01)
    task = asyncio.create_task(queue.run(workers))
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_burst_is_one_piece_of_work() -> None:
    done: list[Key] = []

    async def function(key: Key) -> bool:
        done.append(key)
        return True

    async with running(function) as queue:
        for _ in range(100):
            queue.add(A)
        queue.add(B)
        assert len(queue) == 2
        await until(lambda: len(queue) == 0)
    assert sorted(done) == [A, B]


async def test_a_key_is_never_worked_on_twice_at_once_and_what_happens_meanwhile_is_not_lost() -> None:
    started: list[Key] = []
    release = asyncio.Event()

    async def function(key: Key) -> bool:
        started.append(key)
        await release.wait()
        return True

    async with running(function) as queue:
        queue.add(A)
        await until(lambda: started == [A])
        queue.add(A)
        queue.add(A)
        queue.add(B)
        await until(lambda: started == [A, B])
        release.set()
        await until(lambda: len(queue) == 0)
    assert started == [A, B, A]


async def test_what_fails_is_tried_again_with_growing_waits() -> None:
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def function(_: Key) -> bool:
        times.append(loop.time())
        return len(times) >= 5

    async with running(function) as queue:
        queue.add(A)
        await until(lambda: len(times) == 5)
    waits = [after - before for before, after in pairwise(times)]
    for wait, least in zip(waits, (0.01, 0.02, 0.04, 0.08), strict=True):
        assert wait >= least * 0.9


async def test_success_forgets_the_failures() -> None:
    outcomes = iter([False, False, True, False, True])
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def function(_: Key) -> bool:
        times.append(loop.time())
        return next(outcomes)

    async with running(function) as queue:
        queue.add(A)
        await until(lambda: len(times) == 3)
        queue.add(A)
        await until(lambda: len(times) == 5)
    assert times[4] - times[3] < work.FIRST_RETRY_SECONDS * 0.01 * 3


async def test_an_event_doesnt_wait_for_the_retry() -> None:
    done = 0

    async def function(_: Key) -> bool:
        nonlocal done
        done += 1
        return done > 1

    queue = WorkQueue(function, jitter=lambda: 1000.0)
    task = asyncio.create_task(queue.run(1))
    queue.add(A)
    await until(lambda: done == 1)
    await asyncio.sleep(0)
    queue.add(A)
    await until(lambda: done == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Recorder:
    """Notes what is worked on, one key at a time, once it may begin."""

    def __init__(self) -> None:
        self.started = False
        self.done: list[str] = []
        self.begin = asyncio.Event()
        self.now = 0.0
        self.queue = WorkQueue(self.work, clock=lambda: self.now)

    async def work(self, key: Key) -> bool:
        self.started = True
        await self.begin.wait()
        self.done.append(key.name)
        return True

    def add(self, names: str, *, first: bool = False) -> None:
        for name in names:
            self.queue.add(Key("n", name), first=first)

    async def finish(self) -> str:
        task = asyncio.create_task(self.queue.run(1))
        self.begin.set()
        await until(lambda: len(self.queue) == 0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return "".join(self.done)


async def test_what_is_to_be_first_goes_ahead_of_what_waits_in_the_order_that_it_came() -> None:
    recorder = Recorder()
    recorder.add("ab")
    assert not recorder.queue.are_first_waiting()
    recorder.add("cd", first=True)
    recorder.add("e")
    assert recorder.queue.are_first_waiting()
    assert await recorder.finish() == "cdabe"
    assert not recorder.queue.are_first_waiting()


async def test_a_key_that_waits_is_put_ahead_and_has_one_turn() -> None:
    recorder = Recorder()
    recorder.add("abc")
    recorder.add("c", first=True)
    recorder.add("c")
    assert len(recorder.queue) == 3
    assert await recorder.finish() == "cab"


async def test_whatever_has_waited_long_enough_has_its_turn_before_what_is_to_be_first() -> None:
    recorder = Recorder()
    recorder.add("a")
    recorder.now = work.AHEAD_SECONDS + 1
    recorder.add("b", first=True)
    recorder.add("c")
    assert await recorder.finish() == "abc"


async def test_what_happens_to_a_key_in_work_keeps_its_rank() -> None:
    recorder = Recorder()
    recorder.add("a")
    task = asyncio.create_task(recorder.queue.run(1))
    await until(lambda: recorder.started)
    recorder.add("b")
    recorder.add("a", first=True)
    recorder.add("a")
    recorder.begin.set()
    await until(lambda: len(recorder.queue) == 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert recorder.done == ["a", "a", "b"]
