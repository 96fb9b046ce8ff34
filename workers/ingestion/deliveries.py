"""Waits for Kafka on behalf of requests: each one's answer goes out once Kafka has all of its messages.

All of it is on the event loop's thread. Delivery reports are served by `Intake.poll`, which `AckPump` calls every
millisecond while anything is on its way, and seldom while nothing is.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ingestion.intake import Intake
from telemetry import metrics
from telemetry.errors import DeliveryError

_BUSY = 0.001
_IDLE = 0.5
_STUCK = 30.0
"""Seconds without a delivery after which messages that wait for one show in the readiness."""


class Delivery:
    """The messages of one request on their way into Kafka; ``on_done`` is called once, when all is known or too late.

    It may be called while they are handed over, where none of them waits.
    """

    __slots__ = ("_is_handed_over", "_on_done", "deadline", "failed", "is_done", "waiting")

    def __init__(self, total: int, deadline: float, on_done: Callable[[Delivery], None]) -> None:
        self.deadline = deadline
        self.waiting = set(range(total))
        """Indexes of those of which nothing is known yet."""
        self.failed: dict[int, DeliveryError] = {}
        """By the message's index, why Kafka does not have it."""
        self.is_done = False
        self._is_handed_over = False
        self._on_done = on_done

    def settle(self, index: int, error: DeliveryError | None) -> None:
        """Note Kafka's answer to one message."""
        self.waiting.discard(index)
        if error is not None:
            self.failed[index] = error
        if not self.waiting and self._is_handed_over:
            self.end()

    def note_handed_over(self) -> None:
        """Every message has been handed over: from now on the last answer is the last."""
        self._is_handed_over = True
        if not self.waiting:
            self.end()

    def end(self) -> None:
        """Wait no longer."""
        if not self.is_done:
            self.is_done = True
            self._on_done(self)


class AckPump:
    """Serves Kafka's answers on the event loop; ``on_fatal`` is told once that there will be none any more."""

    def __init__(self, intake: Intake, on_fatal: Callable[[str], None]) -> None:
        self._intake = intake
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._is_busy = False
        self._is_over = False
        self._deliveries: deque[Delivery] = deque()
        self._turned = self._stuck_since = time.monotonic()
        self._timer = self._loop.call_later(_IDLE, self._turn)

    def watch(self, delivery: Delivery) -> None:
        """See to it that ``delivery`` ends, at its deadline at the latest; deadlines come in order."""
        self._deliveries.append(delivery)
        if not self._is_busy and not self._is_over:
            self._is_busy = True
            self._timer.cancel()
            self._timer = self._loop.call_later(_BUSY, self._turn)

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
        still = time.monotonic() - self._turned
        return f"the event loop has not turned for {still:.0f} s" if still > 60 else None

    def _turn(self) -> None:
        self._intake.poll(0)
        queued = self._intake.queued
        metrics.PRODUCER_QUEUE.set(queued)
        self._turned = time.monotonic()
        self._end_deliveries()
        if not queued:
            self._stuck_since = self._turned
        fatal = self._intake.fatal_error
        if fatal is not None:
            self._is_over = True
            self._on_fatal(fatal)
            return
        self._is_busy = queued > 0 or bool(self._deliveries)
        self._timer = self._loop.call_later(_BUSY if self._is_busy else _IDLE, self._turn)

    def _end_deliveries(self) -> None:
        """Let go of those that are done, and end those that wait too long."""
        deliveries = self._deliveries
        while deliveries and (deliveries[0].is_done or deliveries[0].deadline < self._turned):
            delivery = deliveries.popleft()
            if delivery.is_done and not delivery.failed:
                self._stuck_since = self._turned
            delivery.end()
