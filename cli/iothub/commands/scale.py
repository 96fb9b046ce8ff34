"""``iothub scale``: more workers for a TelemetryConsumer, or fewer."""

from __future__ import annotations

from typing import Annotated

import typer

from iothub.hub.control import send_request
from iothub.hub.folder import Folder
from iothub.options import DEFAULT_NAME, NameOption, OutputOption
from iothub.terminal import OutputFormat, Terminal


def scale(
    consumer: Annotated[str, typer.Argument(metavar="NAME", help="The TelemetryConsumer.", show_default=False)],
    replicas: Annotated[int, typer.Option("--replicas", help="How many workers it should have.", show_default=False)],
    name: NameOption = DEFAULT_NAME,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Change how many workers a TelemetryConsumer of the running hub has.

    More of them than the topic has partitions are taken, and have nothing to do. The file stays as it is: the next edit
    of its replicas holds again.
    """
    terminal = Terminal(output)
    answer = send_request(Folder.of(name).socket, {"do": "scale", "name": consumer, "replicas": replicas}, name=name)
    terminal.show(answer, lambda: f"{answer['name']} scaled to {replicas}")
