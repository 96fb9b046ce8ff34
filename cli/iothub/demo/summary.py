"""What came of a demonstration, for a person, for a program, and as an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from iothub.demo.tally import Totals
from iothub.devices.counts import Counts
from iothub.terminal import make_table


@dataclass(frozen=True)
class DemoSummary:
    """The count at the end. ``seconds`` are those of publishing, ``age`` those since the command was typed."""

    counts: Counts
    totals: Totals
    lost_ids: tuple[str, ...]
    """A few of the lost messages."""
    first_reading_seconds: float | None
    """From the start of the process to the first reading on the screen; None where none was shown."""
    seconds: float
    age: float
    places: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    """What was unlike what was asked for: an early end, a lowered rate."""
    kept: Path | None
    """The hub's folder, where it is kept."""

    @property
    def is_good(self) -> bool:
        """Whether something was acknowledged, nothing of it is lost, and each message is where it should be."""
        return self.totals.acknowledged > 0 and not self.totals.awaited and not self.totals.misjudged

    def to_document(self) -> dict[str, object]:
        """Return it for ``--output json``."""
        totals, counts = self.totals, self.counts
        return {
            "sent": counts.sent,
            "acknowledged": totals.acknowledged,
            "refused": counts.refused,
            "not_acknowledged": counts.unanswered,
            "clean": totals.clean,
            "dead_lettered": totals.dead,
            "reasons": totals.reasons,
            "damaged": dict(counts.damaged.most_common()),
            "duplicates": totals.duplicates,
            "lost": totals.awaited,
            "lost_ids": list(self.lost_ids),
            "misjudged": totals.misjudged,
            "misjudgements": list(totals.misjudgements),
            "first_reading_seconds": _round(self.first_reading_seconds),
            "publishing_seconds": _round(self.seconds),
            "seconds": _round(self.age),
            "places": dict(self.places),
            "notes": list(self.notes),
            "kept": str(self.kept) if self.kept else None,
        }


def render_summary(summary: DemoSummary, *, program: str = "iothub", cluster: str = "") -> RenderableType:
    """Return the summary as a table with a sentence above it, and what to type next below.

    ``program`` is how iothub is called here, ``cluster`` are the options that name the hub where it is a cluster's.
    """
    totals, counts = summary.totals, summary.counts
    table = make_table("what", "messages", "about")
    table.columns[1].justify = "right"
    table.columns[2].no_wrap = False
    first = summary.first_reading_seconds
    table.add_row("sent", f"{counts.sent:,}", f"in {summary.seconds:.1f} s")
    rate = totals.acknowledged / summary.seconds if summary.seconds else 0.0
    table.add_row("acknowledged", f"{totals.acknowledged:,}", f"{rate:.1f} a second")
    if counts.refused or counts.unanswered:
        table.add_row("not acknowledged", f"{counts.refused + counts.unanswered:,}", f"{counts.refused:,} refused")
    table.add_row("clean", f"{totals.clean:,}", "")
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in totals.reasons.items())
    table.add_row("dead letters", f"{totals.dead:,}", reasons)
    table.add_row("duplicates", f"{totals.duplicates:,}", "")
    table.add_row("lost", f"{totals.awaited:,}", ", ".join(summary.lost_ids))
    if totals.misjudged:
        table.add_row("misjudged", f"{totals.misjudged:,}", "; ".join(totals.misjudgements))
    when = "never came" if first is None else f"came {first:.1f} s after the command was typed"
    lines: list[RenderableType] = [
        Text(_judge(summary), "bold"),
        Text(""),
        table,
        Text(""),
        Text(f"The first reading {when}."),
    ]
    lines += [Text(f"{name}: {where}.") for name, where in summary.places]
    lines += [Text(note) for note in summary.notes]
    return Group(*lines, Text(""), *_next_steps(summary, program, cluster))


def _judge(summary: DemoSummary) -> str:
    totals = summary.totals
    if not totals.acknowledged:
        return "Nothing was acknowledged."
    if totals.awaited:
        return f"{totals.awaited:,} of {totals.acknowledged:,} acknowledged messages are lost."
    if totals.misjudged:
        return f"Nothing was lost, but {totals.misjudged:,} messages came out where they should not."
    return f"All {totals.acknowledged:,} acknowledged messages arrived: 0 lost."


def _next_steps(summary: DemoSummary, program: str, cluster: str) -> list[Text]:
    option = f" {cluster}" if cluster else ""
    steps = [
        (f"simulate --rate 50{option}", "devices"),
        (f"tail telemetry.clean{option}", "what they say"),
        (f"lag{option}", "how far the consumers are"),
    ]
    if not cluster:
        steps.insert(0, ("up", "the same hub, to stay; beside it:"))
    if summary.kept:
        steps.insert(0, ("up --name demo", f"what this one kept in {summary.kept}"))
    width = max(len(command) for command, _ in steps)
    return [Text("Next:"), *(Text(f"  {program} {command:<{width}}   {about}") for command, about in steps)]


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
