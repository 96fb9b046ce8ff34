"""The account: what was acknowledged to the fleet beside what a reader finds in the topic."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from faults.messages import find_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from faults.messages import Recipe, Sent

__all__ = ["Account", "Arrival", "draw_up"]

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record of the topic."""

    partition: int
    offset: int
    key: str | None
    value: bytes
    id: str | None
    """Its header ``id``."""


@dataclass(frozen=True)
class Account:
    """What a run comes to. ``str`` of it is for whoever looks for what is missing."""

    acknowledged: Mapping[int, float]
    """The numbers of the acknowledged messages, and when that was, in seconds since the run's start."""
    lost: list[int]
    """Acknowledged, and not in the topic."""
    found: int
    """How many different messages the topic has."""
    duplicates: int
    """Records beyond the first of their message."""
    reordered: list[tuple[int, int]]
    """Messages that came first behind a later one of their device, which is the second number."""
    wrong: list[str]
    """Records that are not what was sent: other bytes, another key, another id than theirs. In words."""
    events: list[tuple[float, str]] = field(default_factory=list)
    """What happened in the run, and when."""

    def lost_outside(self, spans: Collection[tuple[float, float]]) -> list[int]:
        """Return what is lost and was acknowledged in none of these times, each from when to when."""
        return [
            number for number in self.lost if not any(begin <= self.acknowledged[number] <= end for begin, end in spans)
        ]

    def __str__(self) -> str:
        lines = [
            f"{len(self.acknowledged)} acknowledged, {self.found} found, {len(self.lost)} LOST, "
            f"{self.duplicates} duplicates, {len(self.reordered)} reordered, {len(self.wrong)} wrong"
        ]
        runs = list(_find_runs(self.lost))
        for first, last in runs[:_MOST_SHOWN]:
            begin, end = self.acknowledged[first], self.acknowledged[last]
            lines.append(f"  lost: {first} to {last} ({last - first + 1}), acknowledged at {begin:.3f} to {end:.3f} s")
        if len(runs) > _MOST_SHOWN:
            lines.append(f"  … and {len(runs) - _MOST_SHOWN} more gaps")
        lines += [f"  reordered: {late} came behind {early}" for late, early in self.reordered[:_MOST_SHOWN]]
        lines += [f"  wrong: {text}" for text in self.wrong[:_MOST_SHOWN]]
        lines += [f"  {at:8.3f} s: {text}" for at, text in self.events]
        return "\n".join(lines)


def draw_up(
    acknowledged: Mapping[int, float],
    arrivals: Iterable[Arrival],
    *,
    recipe: Recipe,
    events: Iterable[tuple[float, str]] = (),
) -> Account:
    """Compare the two sets; ``recipe`` is what the messages were built by."""
    copies: dict[int, int] = defaultdict(int)
    newest: dict[str | None, int] = defaultdict(lambda: -1)
    reordered: list[tuple[int, int]] = []
    wrong: list[str] = []
    # A device's records are in one partition, so this is the order in which its readers get them.
    for arrival in sorted(arrivals, key=lambda one: (one.partition, one.offset)):
        number = find_number(arrival.value)
        sent = None if number is None else recipe.build(number)
        problem = _find_difference(sent, arrival)
        if problem is not None:
            place = f"partition {arrival.partition}, offset {arrival.offset}, message {number}"
            wrong.append(f"{place}: {problem}: {arrival.value[:60]!r}")
        if number is None or sent is None or arrival.value != sent.payload:
            continue  # no copy of anything
        copies[number] += 1
        if copies[number] == 1:
            if number < newest[arrival.key]:
                reordered.append((number, newest[arrival.key]))
            newest[arrival.key] = max(newest[arrival.key], number)
    return Account(
        acknowledged=dict(acknowledged),
        lost=sorted(acknowledged.keys() - copies.keys()),
        found=len(copies),
        duplicates=sum(copies.values()) - len(copies),
        reordered=reordered,
        wrong=wrong,
        events=list(events),
    )


def _find_difference(sent: Sent | None, arrival: Arrival) -> str | None:
    if sent is None:
        return "none of the fleet's"
    if arrival.value != sent.payload:
        return "other bytes than were sent"
    if arrival.key != sent.device:
        return f"the key {arrival.key!r}, not {sent.device!r}"
    if arrival.id != sent.id:
        return f"the id {arrival.id!r}, not {sent.id!r}"
    return None


def _find_runs(numbers: list[int]) -> Iterable[tuple[int, int]]:
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        yield run[0], run[-1]
