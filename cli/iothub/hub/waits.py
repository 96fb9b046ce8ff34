"""How long to wait before something that ended is started again."""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 30.0
GOOD_RUN_SECONDS = 60.0
"""A run this long was a good one: the waits begin anew."""


class Waits:
    """Growing waits: 1, 2, 4 … 30 seconds, and 1 again after a good run. Times are monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._next = FIRST_SECONDS
        self._started = clock()

    def started(self) -> None:
        """Note that a run begins."""
        self._started = self._clock()

    def take(self) -> float:
        """Return how long to wait now that the run has ended."""
        if self._clock() - self._started >= GOOD_RUN_SECONDS:
            self._next = FIRST_SECONDS
        wait, self._next = self._next, min(self._next * 2, LONGEST_SECONDS)
        return wait
