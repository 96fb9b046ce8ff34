"""Waits for Kafka on behalf of requests: each one's answer goes out once Kafka has all of its messages.

All of it is on the event loop's thread. Delivery reports are served by `Intake.poll`, which `AckPump` calls every
millisecond while anything is on its way, and seldom while nothing is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ingestion.intake import Intake
from telemetry import metrics
from telemetry.errors import DeliveryError

_BUSY = 0.001
_IDLE = 0.5
_STUCK = 30.0
"""Seconds without a delivery after which messages that wait for one show in the readiness."""


class Delivery:
    """The messages of one request on their way into Kafka."""

    def __init__(self) -> None:
        self.failed: dict[int, DeliveryError] = {}
        """By the message's index, why Kafka does not have it."""
        self.waiting: set[int] = set()
        """Indexes of those of which nothing is known yet."""
        self._done: asyncio.Future[None] | None = None

    def settle(self, index: int, error: DeliveryError | None) -> None:
        """Note Kafka's answer to one message."""
        self.waiting.discard(index)
        if error is not None:
            self.failed[index] = error
        if not self.waiting and self._done is not None and not self._done.done():
            self._done.set_result(None)

    async def wait(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds until Kafka has answered for all of them."""
        if not self.waiting:
            return
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        timer = loop.call_later(timeout, _end, self._done)
        try:
            await self._done
        finally:
            timer.cancel()


class AckPump:
    """Serves Kafka's answers on the event loop; ``on_fatal`` is told once that there will be none any more."""

    def __init__(self, intake: Intake, on_fatal: Callable[[str], None]) -> None:
        self._intake = intake
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._is_busy = False
        self._is_over = False
        self.turned = self._stuck_since = time.monotonic()
        self._taken = 0
        self._seen = 0
        self._timer = self._loop.call_later(_IDLE, self._turn)

    def wake(self) -> None:
        """Something is on its way now."""
        if not self._is_busy and not self._is_over:
            self._is_busy = True
            self._timer.cancel()
            self._timer = self._loop.call_later(_BUSY, self._turn)

    def note_taken(self) -> None:
        """Kafka has taken a message."""
        self._taken += 1

    def close(self) -> None:
        """Serve nothing any more."""
        self._is_over = True
        self._timer.cancel()

    def find_readiness_problem(self) -> str | None:
        """Return why messages do not get into Kafka now, or None."""
        stuck = time.monotonic() - self._stuck_since
        return f"Kafka has taken nothing for {stuck:.0f} s" if stuck > _STUCK else None

    def find_liveness_problem(self) -> str | None:
        """Return why only a restart can help, or None: the event loop turns."""
        still = time.monotonic() - self.turned
        return f"the event loop has not turned for {still:.0f} s" if still > 60 else None

    def _turn(self) -> None:
        self._intake.poll(0)
        queued = self._intake.queued
        metrics.PRODUCER_QUEUE.set(queued)
        self.turned = time.monotonic()
        if not queued or self._taken != self._seen:
            self._stuck_since, self._seen = self.turned, self._taken
        fatal = self._intake.fatal_error
        if fatal is not None:
            self._is_over = True
            self._on_fatal(fatal)
            return
        self._is_busy = queued > 0
        self._timer = self._loop.call_later(_BUSY if queued else _IDLE, self._turn)


def _end(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
