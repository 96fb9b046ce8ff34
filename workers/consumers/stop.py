"""The end of a consumer: asked for once, and bounded from then on.

Kubernetes gives a pod 30 seconds between SIGTERM and SIGKILL. Kafka may be away or silent just then, so each step of
the way out has its time: what it does not get done in it is done again by the next owner of the partitions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the way out: until when, in seconds after the stop, it may take; and how long it may take at least.

    The second is for what was begun late, behind a handler that took its time.
    """

    until: float
    at_least: float


OUTPUTS = Step(until=12.0, at_least=2.0)
"""Waiting until Kafka has what was produced."""
COMMITS = Step(until=16.0, at_least=1.0)
"""Committing offsets."""
LEAVE = Step(until=25.0, at_least=4.0)
"""Leaving the group."""


class Stop:
    """Whether a consumer was asked to stop, and how long it may still take. Safe in a signal handler."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked_at: float | None = None

    def ask(self) -> None:
        """Ask the consumer to stop."""
        if self._asked_at is None:
            self._asked_at = self._clock()

    def clear(self) -> None:
        """Forget that it was asked."""
        self._asked_at = None

    def is_asked(self) -> bool:
        """Return whether it was asked to stop."""
        return self._asked_at is not None

    def make_patience(self, step: Step) -> Callable[[], bool]:
        """Return a function that says whether ``step``, which begins now, may go on."""
        give_up: float | None = None

        def may_go_on() -> bool:
            nonlocal give_up
            if self._asked_at is None:
                return True
            if give_up is None:
                give_up = max(self._asked_at + step.until, self._clock() + step.at_least)
            return self._clock() < give_up

        return may_go_on
