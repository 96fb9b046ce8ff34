"""``iothub lag``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from iothub.kafka.client import IN_MEMORY_GROUPS, connect
from iothub.kafka.rates import LagRow, measure_lag
from iothub.kafka.views import build_lag_document, build_lag_line, build_lag_table
from iothub.locate import open_target
from iothub.options import OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal, quiet_pipe


def lag(
    group: Annotated[
        list[str] | None, typer.Argument(metavar="GROUP", help="Groups to look at; left out, all.")
    ] = None,
    *,
    window: Annotated[
        float, typer.Option("--window", min=0.1, max=3600, help="Seconds over which rates are measured.")
    ] = 3.0,
    partitions: Annotated[bool, typer.Option("--partitions", help="A line for each partition.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Measure again and again, until Ctrl-C; in a pipe a line a round.")
    ] = False,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show how far groups are behind, and in how long they will have caught up.

    Rates are those of the window: what was produced, and what the group committed. A group that commits every five
    seconds needs a longer window than the default.
    """
    terminal = Terminal(output)
    with open_target(where, terminal) as target, quiet_pipe():
        with terminal.waiting(f"what {target.title} does in {window:g} s"):
            kafka = connect(target)
            rounds = measure_lag(kafka, group or (), window=window, by_partition=partitions)
            rows = next(rounds)
        if kafka.in_memory:
            terminal.say(IN_MEMORY_GROUPS)
        if not watch:
            terminal.show(build_lag_document(rows), lambda: build_lag_table(rows))
        elif terminal.out.is_terminal and not terminal.is_json:
            with Live(_fit(rows), console=terminal.out, auto_refresh=False) as live:
                for later in rounds:
                    live.update(_fit(later), refresh=True)
        else:
            terminal.emit(build_lag_document(rows), build_lag_line(rows))
            for later in rounds:
                terminal.emit(build_lag_document(later), build_lag_line(later))


def _fit(rows: Sequence[LagRow]) -> Table:
    """Return the table for a screen that is drawn again and again: names give way, so that no number is cut."""
    table = build_lag_table(rows)
    for names in table.columns[:2]:
        names.no_wrap = False
    return table
