"""From readings to the rows of a table: medians, ratios, and whether the goal is reached. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run of a contender took, warm-up left out."""

    messages: int
    seconds: float
    cpu_seconds: float


def rate(reading: Reading) -> float:
    """Return messages a second."""
    return reading.messages / reading.seconds


def per_cpu_second(reading: Reading) -> float:
    """Return messages per second of the process's CPU time."""
    return reading.messages / reading.cpu_seconds


def cpu_microseconds(reading: Reading) -> float:
    """Return the CPU time of one message, in µs."""
    return 1e6 * reading.cpu_seconds / reading.messages


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row is to reach: a bound of ours beside the peer's (``times``), or of ours alone."""

    least_ratio: float | None = None
    most: float | None = None

    def describe(self, unit: str) -> str:
        """Return the goal as a table has it."""
        if self.least_ratio is not None:
            return f"≥ {self.least_ratio:g} x"
        return f"≤ {self.most:g} {unit}"

    def holds(self, ours: float, ratio: float | None) -> bool:
        """Return whether it is reached."""
        if self.least_ratio is not None:
            return ratio is not None and ratio >= self.least_ratio
        return self.most is not None and ours <= self.most


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: medians over the runs. Without a peer there is no ratio, without a goal only a report."""

    benchmark: str
    metric: str
    unit: str
    ours: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    holds: bool | None = None


def build_row(
    benchmark: str,
    metric: str,
    unit: str,
    ours: Sequence[float],
    *,
    peer: str | None = None,
    theirs: Sequence[float] = (),
    goal: Goal | None = None,
) -> Row:
    """Return the row of what was measured in each run, ours and, where there is a ``peer``, the peer's.

    The ratio is the median of the runs' own ratios: what the machine did meanwhile, it did to both.
    """
    value = median(ours)
    ratio = median(mine / other for mine, other in zip(ours, theirs, strict=True)) if peer is not None else None
    return Row(
        benchmark,
        metric,
        unit,
        value,
        peer,
        median(theirs) if peer is not None else None,
        ratio,
        goal.describe(unit) if goal is not None else None,
        goal.holds(value, ratio) if goal is not None else None,
    )


def measure_in_turn(contenders: Mapping[str, Callable[[], T]], runs: int) -> dict[str, list[T]]:
    """Run each contender ``runs`` times, one after the other in turn, and return what each gave."""
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, run in contenders.items():
            found[name].append(run())
    return found
