"""From a group's lags at a few moments to how fast it falls, and when nothing is left. Pure.

The lag's own slope is what counts: messages handled and messages that came in, in one number. Workers commit in steps
and devices send in bursts, so a single pair of observations tells little. The slope is the median over all pairs
(Theil-Sen): up to a quarter of the observations may be off without moving it far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

WINDOW_SECONDS = 300.0
"""How far back a lag says something about now."""
WINDOW_POINTS = 12
"""How many are kept: 66 pairs to compare, whatever the interval of the observations."""
_LEAST_POINTS = 3
_LEAST_SECONDS = 30.0
"""What is observed within less is as much the workers' rhythm of commits as the lag's own."""
LONGEST_SECONDS = 30 * 86_400
"""A lag that would take longer stands, as far as a person is concerned."""


class LagPoint(NamedTuple):
    """A lag at a moment: monotonic seconds, messages."""

    at: float
    lag: int


def add_point(points: Sequence[LagPoint], point: LagPoint) -> tuple[LagPoint, ...]:
    """Return ``points`` with the newest one, without those that are too old or too many."""
    recent = [old for old in points if 0 <= point.at - old.at <= WINDOW_SECONDS]
    return (*recent[-(WINDOW_POINTS - 1) :], point)


def compute_slope(points: Sequence[LagPoint]) -> float | None:
    """Return by how many messages a second the lag grows; None with less than three moments in half a minute."""
    moments = {point.at for point in points}
    if len(moments) < _LEAST_POINTS or max(moments) - min(moments) < _LEAST_SECONDS:
        return None
    slopes = [
        (later.lag - earlier.lag) / (later.at - earlier.at)
        for earlier, later in combinations(sorted(points), 2)
        if later.at > earlier.at
    ]
    slope = median(slopes)
    return slope if math.isfinite(slope) else None


def compute_drain_seconds(lag: int | None, slope: float | None) -> int | None:
    """Return the seconds until ``lag`` is 0 at ``slope``, rounded up; None where it never will be, or nobody knows."""
    if lag is None:
        return None
    if lag <= 0:
        return 0
    if slope is None or slope >= 0 or lag > -slope * LONGEST_SECONDS:
        return None
    return math.ceil(lag / -slope)
