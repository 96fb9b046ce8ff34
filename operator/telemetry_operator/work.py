"""The queue between what happens and what is done about it.

Whatever happens to a TelemetryConsumer only puts its key here. Keys that wait are kept once, one key is never worked on
twice at the same time, and one that fails comes back after growing waits. So a burst of events costs one reconcile, and
the watches never wait for a reconcile.

What has to be brought about comes before what is only to be looked at again: else a Deployment would wait behind the
statuses of all that were made before it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable

from telemetry_operator.naming import Key

AHEAD_SECONDS = 10.0
"""How far ahead of the others a key goes that is to be first; whatever has waited as long has its turn all the same."""
FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0


class WorkQueue:
    """Keys to be worked on. ``work`` returns whether it succeeded, and raises nothing."""

    def __init__(
        self,
        work: Callable[[Key], Awaitable[bool]],
        *,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._jitter = jitter
        self._clock = clock
        self._ready: asyncio.PriorityQueue[tuple[float, int, Key]] = asyncio.PriorityQueue()
        """Keys by their turn, and among equals as they came. One that was put ahead meanwhile is in it twice."""
        self._count = itertools.count()
        self._waiting: dict[Key, bool] = {}
        """Keys in ``_ready``, and whether each is to be first."""
        self._busy: set[Key] = set()
        self._again: dict[Key, bool] = {}
        """Busy keys to which something happened in the meantime, and whether they are to be first then."""
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy)

    def add(self, key: Key, *, first: bool = False) -> None:
        """Have ``key`` worked on soon: now, or after the work on it that is under way; ``first`` before the others."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._busy:
            self._again[key] = first or self._again.get(key, False)
        elif key not in self._waiting or (first and not self._waiting[key]):
            self._waiting[key] = first
            self._ready.put_nowait((self._clock() - (AHEAD_SECONDS if first else 0), next(self._count), key))

    def are_first_waiting(self) -> bool:
        """Return whether keys wait that are to be first."""
        return any(self._waiting.values())

    async def run(self, workers: int) -> None:
        """Work on the keys, ``workers`` of them at a time, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._run_worker())

    async def _run_worker(self) -> None:
        while True:
            _, _, key = await self._ready.get()
            if self._waiting.pop(key, None) is None:
                continue  # it was put ahead, and had its turn
            self._busy.add(key)
            try:
                succeeded = await self._work(key)
            finally:
                self._busy.discard(key)
            if succeeded:
                self._failures.pop(key, None)
            else:
                self._retry_later(key)
            if key in self._again:
                self.add(key, first=self._again.pop(key))

    def _retry_later(self, key: Key) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10), LAST_RETRY_SECONDS) * self._jitter()
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self.add, key)
