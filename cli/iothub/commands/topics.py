"""``iothub topics``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group

from iothub.kafka.client import connect
from iothub.kafka.facts import read_topics
from iothub.kafka.views import build_partitions_table, build_topics_document, build_topics_table
from iothub.locate import open_target
from iothub.options import OutputOption
from iothub.target import Where
from iothub.terminal import OutputFormat, Terminal


def topics(
    topic: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="Topics to show partition by partition.")
    ] = None,
    *,
    internal: Annotated[bool, typer.Option("--internal", help="Show Kafka's own topics too.")] = False,
    where: Where,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show Kafka's topics: partitions, replication, messages, retention.

    Messages are counted from the first to the last offset; a compacted or transactional topic may hold fewer. How
    many bytes a topic takes Kafka tells only to its own tools.
    """
    terminal = Terminal(output)
    with open_target(where, terminal) as target:
        with terminal.waiting(target.title):
            kafka = connect(target)
            found = read_topics(kafka, topic or (), internal=internal)
        terminal.show(
            build_topics_document(found),
            lambda: (
                Group(build_topics_table(found), "", build_partitions_table(found))
                if topic
                else build_topics_table(found)
            ),
        )
        if kafka.in_memory:
            terminal.say("This Kafka is in memory: it has no retention or other settings to tell.")
