"""``iothub get``: how the hub's TelemetryConsumers and its parts stand."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from iothub.errors import UsageError
from iothub.hub.columns import build_consumer_table, build_part_table, load_columns
from iothub.hub.control import send_request
from iothub.hub.folder import Folder
from iothub.options import DEFAULT_NAME, NameOption
from iothub.terminal import OutputFormat, Terminal, make_table


class GetFormat(StrEnum):
    """How results are written."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


def get(
    wanted: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One TelemetryConsumer, or one part; left out, all.", show_default=False),
    ] = None,
    name: NameOption = DEFAULT_NAME,
    output: Annotated[
        GetFormat,
        typer.Option("--output", "-o", help="A table, one with the reason and the image, or JSON for programs."),
    ] = GetFormat.TABLE,
) -> None:
    """Show the hub's TelemetryConsumers, as kubectl get telemetryconsumers does, and its parts."""
    terminal = Terminal(OutputFormat.JSON if output is GetFormat.JSON else OutputFormat.TABLE)
    answer = send_request(Folder.of(name).socket, {"do": "get"}, name=name)
    consumers, parts = answer["consumers"], answer["parts"]
    if wanted is not None:
        names = [*(body["metadata"]["name"] for body in consumers), *(part["name"] for part in parts)]
        if wanted not in names:
            raise UsageError(f"there is no {wanted!r} in the hub {name!r}; there are: {', '.join(names)}")
        consumers = [body for body in consumers if body["metadata"]["name"] == wanted]
        parts = [part for part in parts if part["name"] == wanted]

    def render() -> RenderableType:
        tables: list[RenderableType] = []
        for headers, rows in (
            build_consumer_table(load_columns(), consumers, wide=output is GetFormat.WIDE),
            build_part_table(parts),
        ):
            if rows:
                table = make_table(*headers)
                for row in rows:
                    table.add_row(*row)
                tables += [table] if not tables else ["", table]
        return Group(*tables)

    terminal.show({"consumers": consumers, "parts": parts}, render)
