"""``iothub doctor``."""

from __future__ import annotations

import typer
from rich.console import Group

from iothub.options import OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal


def doctor(
    *,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Say what is missing or wrong, on this machine or a cluster, and what to type.

    Looks at this machine's programs, ports and limits, and at hubs that were killed; at the Kafka of a hub that runs or
    that is named; with --context at a release: its CRD, pods, volumes and TelemetryConsumers, and its Kafka. Nothing is
    changed. Ends with exit code 1 where something is wrong; what is missing and can be done without is no fault.
    """
    from iothub.doctor.report import (  # noqa: PLC0415  # only when it runs
        build_document,
        build_summary,
        build_table,
        examine,
        is_well,
    )

    terminal = Terminal(output)
    sections = list(examine(where, terminal))
    terminal.show(
        build_document(sections),
        lambda: Group(*(line for section in sections for line in (build_table(section), "")), build_summary(sections)),
    )
    if not is_well(sections):
        raise typer.Exit(1)
