"""Options that several commands share, so that one word means the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from iothub.terminal import OutputFormat

DEFAULT_NAME = "hub"

OutputOption = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="A table for people, or JSON for programs.", show_default=True)
]
NameOption = Annotated[
    str, typer.Option("--name", envvar="IOTHUB_NAME", help="Which hub of this machine: several can run side by side.")
]
BootstrapOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        help="Kafka to look into, host:port. Left out: KAFKA_BOOTSTRAP_SERVERS, else the hub that runs on this "
        "machine, else localhost:9092. The other KAFKA_* variables hold too.",
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option("--context", help="Look into the hub on this kubectl context; ports are forwarded for you."),
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", help="With --context: the release's namespace, else the context's.")
]
ReleaseOption = Annotated[str, typer.Option("--release", help="With --context: the name of the Helm release.")]
DEFAULT_RELEASE = "iot-hub"
