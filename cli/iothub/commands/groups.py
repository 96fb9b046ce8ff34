"""``iothub groups``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group

from iothub.kafka.client import IN_MEMORY_GROUPS, connect
from iothub.kafka.facts import read_groups
from iothub.kafka.views import build_groups_document, build_groups_table, build_members_table, build_places_table
from iothub.locate import open_target
from iothub.options import OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal


def groups(
    group: Annotated[
        list[str] | None, typer.Argument(metavar="GROUP", help="Groups to show with members and places.")
    ] = None,
    *,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show Kafka's consumer groups: state, members, topics, lag.

    "-" is what is not known: the lag of a group that has committed nothing yet depends on where it will begin.
    """
    terminal = Terminal(output)
    with open_target(where, terminal) as target:
        with terminal.waiting(target.title):
            kafka = connect(target)
            found = read_groups(kafka, group or ())
        terminal.show(
            build_groups_document(found),
            lambda: (
                Group(build_groups_table(found), "", build_members_table(found), "", build_places_table(found))
                if group
                else build_groups_table(found)
            ),
        )
        if kafka.in_memory:
            terminal.say(IN_MEMORY_GROUPS)
