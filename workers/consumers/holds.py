"""Partitions that wait: messages in hand that have to be tried again before anything behind them may go on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consumers.calls import Item

Partition = tuple[str, int]

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 30.0


@dataclass(slots=True)
class Hold:
    """What one partition waits with, until when (monotonic seconds), and why."""

    items: list[Item]
    due: float
    tries: int
    problem: str
    isolate: bool
    """Whether the items are handed over one by one, because one of them made a batch fail."""


def compute_wait(tries: int, jitter: float) -> float:
    """Return the seconds to wait after ``tries`` failed tries: doubling from 0.2 to 30, times 0.5 to 1.5 by ``jitter``.

    ``jitter`` in [0, 1] keeps members that failed together from coming back together.
    """
    wait: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(tries - 1, 16))
    return wait * (0.5 + jitter)


class Holds:
    """The waiting partitions of one consumer."""

    def __init__(self, clock: Callable[[], float], jitter: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._holds: dict[Partition, Hold] = {}
        self._tries: dict[Partition, int] = {}

    def hold(
        self, partition: Partition, items: list[Item], *, problem: str, after: float | None, isolate: bool
    ) -> Hold:
        """Let ``partition`` wait with ``items``: ``after`` seconds, or longer each time."""
        tries = self._tries[partition] = self._tries.get(partition, 0) + 1
        wait = compute_wait(tries, self._jitter()) if after is None else after
        hold = self._holds[partition] = Hold(items, self._clock() + wait, tries, problem, isolate)
        return hold

    def extend(self, partition: Partition, items: Sequence[Item]) -> None:
        """Put ``items`` behind those that ``partition`` waits with."""
        self._holds[partition].items.extend(items)

    def take_due(self) -> tuple[Partition, Hold] | None:
        """Remove and return one partition whose time has come."""
        now = self._clock()
        for partition, hold in self._holds.items():
            if hold.due <= now:
                del self._holds[partition]
                return partition, hold
        return None

    def seconds_until_due(self) -> float | None:
        """Return how long until the next partition is due, or None where none waits."""
        return max(0.0, min(hold.due for hold in self._holds.values()) - self._clock()) if self._holds else None

    def settle(self, partition: Partition) -> None:
        """Forget the tries of a partition that moved on."""
        self._tries.pop(partition, None)

    def drop(self, partition: Partition) -> None:
        """Forget a partition that somebody else has now."""
        self._holds.pop(partition, None)
        self._tries.pop(partition, None)

    def __len__(self) -> int:
        return len(self._holds)

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._holds

    @property
    def problem(self) -> str | None:
        """Why the partition that has waited for the most tries waits, or None."""
        # On another thread: what is waiting changes meanwhile.
        worst = max(list(self._holds.items()), key=lambda pair: pair[1].tries, default=None)
        if worst is None:
            return None
        (topic, number), hold = worst
        return f"{topic}[{number}] waits, try {hold.tries}: {hold.problem}"
