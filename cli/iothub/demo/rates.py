"""From totals that grow to rates: a second by a second, and smoothed for a person. Pure."""

from __future__ import annotations

from collections import deque

HISTORY = 60
"""Seconds that a history reaches back."""
_SMOOTHED = 3.0


class RateMeter:
    """Is told a total now and then, and knows how fast it grew."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()
        self._seconds: deque[float] = deque(maxlen=HISTORY)
        self._second: tuple[float, int] | None = None

    def note(self, moment: float, total: int) -> None:
        """Note the total at ``moment`` (seconds of a clock that never goes back)."""
        self._points.append((moment, total))
        while len(self._points) > 2 and moment - self._points[1][0] >= _SMOOTHED:
            self._points.popleft()
        if self._second is None:
            self._second = (moment, total)
            return
        since, before = self._second
        if moment - since >= 1:
            self._seconds.append((total - before) / (moment - since))
            self._second = (moment, total)

    @property
    def rate(self) -> float:
        """Growth a second over the last few seconds."""
        if len(self._points) < 2:
            return 0.0
        (first, before), (last, total) = self._points[0], self._points[-1]
        return (total - before) / (last - first) if last > first else 0.0

    @property
    def history(self) -> tuple[float, ...]:
        """Growth in each of the last seconds, oldest first."""
        return tuple(self._seconds)
