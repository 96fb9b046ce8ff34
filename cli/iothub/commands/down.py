"""``iothub down``: ends a hub from another terminal, or what a killed one has left."""

from __future__ import annotations

from typing import Annotated

import typer

from iothub.hub.ending import end_hub
from iothub.options import DEFAULT_NAME, NameOption, OutputOption
from iothub.terminal import OutputFormat, Terminal


def down(
    data: Annotated[bool, typer.Option("--data", help="Also delete what Kafka and the MQTT broker have kept.")] = False,
    name: NameOption = DEFAULT_NAME,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """End the hub of this machine in order, and wait until all of it has ended.

    After a hub that was killed, this ends what it has left running.
    """
    terminal = Terminal(output)
    with terminal.waiting(f"the hub {name!r} to end"):
        ended = end_hub(name, data=data)
    terminal.show({"name": name, "ended": ended.what, "data_deleted": ended.data_deleted}, lambda: ended.sentence)
