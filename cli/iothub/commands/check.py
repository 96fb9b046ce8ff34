"""``iothub check``."""

from __future__ import annotations

from typing import Annotated

import typer

from iothub.options import FilesOption, OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal


def check(
    *,
    files: FilesOption,
    handler_sample: Annotated[
        int | None,
        typer.Option(
            "--handler-sample",
            min=1,
            max=100_000,
            help="Hand the last N messages of its topics to each handler, and tell what would become of them.",
        ),
    ] = None,
    handler_seconds: Annotated[
        float, typer.Option("--handler-seconds", min=0.1, max=3600, help="Longest time that a handler may take.")
    ] = 60.0,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Tell whether TelemetryConsumers in files are right, with no cluster.

    What the API server and the operator would say is said here, with file and line; and each handler is loaded, in a
    process of its own. With --handler-sample it is given real messages, too: nothing is committed, and nothing
    produced. Ends with exit code 1 where anything would be refused, or a handler fails.
    """
    from iothub.checking import CheckOptions, run_check  # noqa: PLC0415  # only when it runs

    terminal = Terminal(output)
    report = run_check(CheckOptions(tuple(files), handler_sample, handler_seconds), where, terminal)
    if terminal.is_json:
        terminal.show(report.to_document(), str)
    else:
        for line in report.to_lines():
            typer.echo(line)
    if not report.is_right:
        raise typer.Exit(1)
