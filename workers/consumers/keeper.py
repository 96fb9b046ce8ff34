"""Staying in the group while messages are in hand, however long that takes.

A member that does not poll for ``max.poll.interval.ms`` loses its partitions. So a thread polls in place of the main
one while that is in a handler or waits for Kafka. Between `Keeper.begin` and `Keeper.end` the main thread leaves the
client alone; outside of them the keeper does. Neither waits for the other inside librdkafka.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from consumers.stop import COMMITS, Stop

PATIENCE = 1.0
"""Seconds that a call may take before its member is kept: most calls never meet the keeper."""
_INTERVAL = 0.25


class Keeper:
    """Calls ``poll`` every quarter of a second while the main thread is busy for longer than ``patience`` seconds.

    ``poll`` serves the group; its callbacks run on the keeper's thread. ``told_to_end`` is called once where the
    process was asked to end (``stop``) while the main thread is busy.
    """

    def __init__(
        self,
        poll: Callable[[], None],
        *,
        stop: Stop,
        told_to_end: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        self._poll = poll
        self._stop = stop
        self._told_to_end = told_to_end
        self._patience = patience
        self._turn = threading.Condition()
        self._busy_since: float | None = None
        self._polling = False
        self._told = False
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        may_go_on = self._stop.make_patience(COMMITS)
        while self._thread.is_alive() and may_go_on():
            self._thread.join(_INTERVAL)

    def begin(self) -> None:
        """Leave the client to the keeper."""
        self._busy_since = time.monotonic()

    def end(self) -> None:
        """Take the client back, as soon as the keeper has left it. Raises what its poll raised.

        A keeper that Kafka does not answer is not waited for beyond the end: nothing is asked of Kafka then.
        """
        with self._turn:
            self._busy_since = None
            self._turn.notify_all()
            if self._polling:
                may_go_on = self._stop.make_patience(COMMITS)
                while self._polling and may_go_on():
                    self._turn.wait(_INTERVAL)
            error, self._error = self._error, None
        if error is not None:
            raise error

    @property
    def busy_for(self) -> float:
        """Seconds since `begin`, 0 after `end`."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def wait_until_done(self, timeout: float) -> bool:
        """Wait, in a callback on the keeper's thread, until the main thread is done; return whether it is."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            with self._turn:
                if self._turn.wait_for(lambda: self._busy_since is None, max(0.0, min(left, _INTERVAL))):
                    return True
            if left <= 0:
                return False
            self._tell_once()

    def _tell_once(self) -> None:
        if self._stop.is_asked() and not self._told:
            self._told = True
            self._told_to_end()

    def _run(self) -> None:
        # Not a wait on the condition: the end of each iteration would wake it.
        while not self._closed.wait(_INTERVAL):
            with self._turn:
                if self._busy_since is None:
                    self._told = False
                elif self._stop.is_asked() and not self._told:
                    self._use_client(self._tell_once)
                elif self.busy_for > self._patience and self._error is None:
                    self._use_client(self._poll)

    def _use_client(self, action: Callable[[], None]) -> None:
        self._polling = True
        self._turn.release()
        try:
            action()
        except BaseException as error:  # the main thread's to raise
            self._error = error
        finally:
            self._turn.acquire()
            self._polling = False
            self._turn.notify_all()
