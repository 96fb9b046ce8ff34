"""Devices that post their telemetry over HTTP, note what was answered 202, and send everything else again.

A device has a connection of its own and one request at a time on it: the next batch goes once the one before is in
Kafka, as its order wants it.
"""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Self

from faults.fleet import Fleet
from faults.messages import BATCH, DEVICES, HttpRecipe
from support.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["HttpFleet"]

_PAUSE = 0.2
"""Seconds before a device tries again: less than Retry-After asks for, so that a short outage means many tries."""
_LONGEST_REQUEST = 30.0


class HttpFleet(Fleet):
    """``DEVICES`` devices, each with its own thread. ``rate`` is that of all of them, in messages a second."""

    def __init__(self, port: int, *, rate: float = 2500.0, size: int = 290) -> None:
        super().__init__(HttpRecipe(size))
        self.failures = 0
        """How many requests had another answer than 202, or none."""
        self._port = port
        self._pace = DEVICES * BATCH / rate
        self._batches = [0] * DEVICES
        self._idle = [threading.Event() for _ in range(DEVICES)]
        self._go = threading.Event()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"device-{number}", daemon=True)
            for number in range(DEVICES)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._go.set()
        for thread in self._threads:
            thread.join(_LONGEST_REQUEST + 10)

    @property
    def sent(self) -> int:
        """How many messages were in a request."""
        return sum(self._batches) * BATCH

    def begin(self) -> None:
        """Send from now on."""
        for idle in self._idle:
            idle.clear()
        self._go.set()

    def settle(self, *, timeout: float = 120.0) -> None:
        """Begin no new batch, and return once all those begun are acknowledged."""
        self._go.clear()
        wait_until(
            lambda: all(idle.is_set() for idle in self._idle),
            timeout=timeout,
            what="a 202 for everything sent",
            hint=lambda: f"{self.sent} sent, {len(self.acknowledged)} acknowledged, {self.failures} failures",
        )
        self._raise()

    def _run(self, device: int) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_LONGEST_REQUEST)
        try:
            while not self._over.is_set():
                if not self._go.is_set():
                    self._idle[device].set()
                    self._go.wait()
                    continue
                due = time.monotonic() + self._pace
                self._send_batch(connection, device)
                self._over.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:  # handed to the test
            self._error = error
            self._idle[device].set()
        finally:
            connection.close()

    def _send_batch(self, connection: HTTPConnection, device: int) -> None:
        batch = self._batches[device]
        self._batches[device] += 1
        numbers = [device + DEVICES * (batch * BATCH + index) for index in range(BATCH)]
        messages = [self.recipe.build(number) for number in numbers]
        headers = {"Content-Type": "application/x-ndjson"}
        if (own := messages[0].own_id) is not None:
            headers["Idempotency-Key"] = own
        body = b"\n".join(message.payload for message in messages)
        while not self._over.is_set():
            status = self._post(connection, f"/v1/devices/{messages[0].device}/telemetry", body, headers)
            if status == HTTPStatus.ACCEPTED:
                self.acknowledged |= dict.fromkeys(numbers, self.seconds)
                return
            # Anything else that is not the server's trouble would be a fault of this fleet.
            assert status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR, f"answered {status}"
            with self._lock:
                self.failures += 1
            self._over.wait(_PAUSE)

    def _post(self, connection: HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int | None:
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            connection.close()  # the next request opens it again
            return None
        return answer.status
