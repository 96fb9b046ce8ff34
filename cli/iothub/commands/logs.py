"""``iothub logs``: what a TelemetryConsumer's workers, one worker, or a part of the hub writes."""

from __future__ import annotations

from typing import Annotated

import typer

from iothub.errors import UsageError
from iothub.hub.folder import Folder
from iothub.hub.log_files import find_logs, follow_lines, list_names, read_lines
from iothub.options import DEFAULT_NAME, NameOption, OutputOption
from iothub.terminal import OutputFormat, Terminal


def logs(
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A TelemetryConsumer (all of its workers), a worker, or a part: kafka, mqtt, ingestion-mqtt, …, hub.",
            show_default=False,
        ),
    ],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, help="Only so many of the newest lines of each log.")
    ] = None,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="What was written before the last restart.")
    ] = False,
    name: NameOption = DEFAULT_NAME,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show what a TelemetryConsumer's workers write, or a part of the hub; also after the hub has ended."""
    terminal = Terminal(output)
    folder = Folder.of(name)
    found = find_logs(folder, wanted, previous=previous)
    if not found:
        names = list_names(folder)
        there = f"there are logs of: {', '.join(names)}" if names else f"the hub {name!r} has written none"
        raise UsageError(f"there is no log of {wanted!r}{' before its last start' if previous else ''}; {there}")
    lines = (
        follow_lines(lambda: find_logs(folder, wanted), tail=tail)
        if follow and not previous
        else read_lines(found, tail=tail)
    )
    for line in lines:
        terminal.emit({"log": line.source, "line": line.text}, f"{line.prefix}{line.text}")
