"""The queue between what happens and what is done about it.

Whatever happens to a TelemetryConsumer only puts its key here. Keys that wait are kept once, one key is never worked on
twice at the same time, and one that fails comes back after growing waits. So a burst of events costs one reconcile, and
the watches never wait for a reconcile.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from telemetry_operator.naming import Key

FIRST_RETRY_SECONDS = 1.0
LAST_RETRY_SECONDS = 60.0


class WorkQueue:
    """Keys to be worked on. ``work`` returns whether it succeeded, and raises nothing."""

    def __init__(
        self,
        work: Callable[[Key], Awaitable[bool]],
        *,
        jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.0),  # noqa: S311
    ) -> None:
        self._work = work
        self._jitter = jitter
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._waiting: set[Key] = set()
        """Keys in ``_ready``."""
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        """Busy keys to which something happened in the meantime."""
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._busy)

    def add(self, key: Key) -> None:
        """Have ``key`` worked on soon: now, or after the work on it that is under way."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    async def run(self, workers: int) -> None:
        """Work on the keys, ``workers`` of them at a time, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._run_worker())

    async def _run_worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
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
                self._again.discard(key)
                self.add(key)

    def _retry_later(self, key: Key) -> None:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10), LAST_RETRY_SECONDS) * self._jitter()
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self.add, key)
