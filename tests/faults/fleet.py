"""What the fleets have in common: a load that goes and stops, and the note of what was acknowledged."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from support.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from faults.messages import Recipe

__all__ = ["Fleet"]


class Fleet(ABC):
    """Devices that send message after message between `begin` and `settle`, while they are entered."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.acknowledged: dict[int, float] = {}
        """The numbers of the messages that were acknowledged, and when, in seconds since the start."""
        self._started = time.monotonic()
        self._error: BaseException | None = None

    @property
    def seconds(self) -> float:
        """Time since the start: the clock of `acknowledged`."""
        return time.monotonic() - self._started

    @property
    @abstractmethod
    def sent(self) -> int:
        """How many messages were sent at least once."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @abstractmethod
    def begin(self) -> None:
        """Send from now on."""

    @abstractmethod
    def settle(self, *, timeout: float = 120.0) -> None:
        """Send nothing new, and return once every message sent is acknowledged."""

    def run_for(self, seconds: float) -> None:
        """Let ``seconds`` of the load go by."""
        until = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= until, timeout=seconds + 1)
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error
