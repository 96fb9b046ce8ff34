"""Options that several commands share, so that one word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
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
FilesOption = Annotated[
    list[Path],
    typer.Option("--filename", "-f", help="A file, a folder with all below it, or - for standard input; repeatable."),
]
HubFilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--filename",
        "-f",
        help="A file or folder of TelemetryConsumers; repeatable. Left out, the validator and the raw logger.",
    ),
]
ValidatorOption = Annotated[
    bool,
    typer.Option("--validator/--no-validator", help="Run the validator where none of the files fills telemetry.clean."),
]
BootstrapOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        help="Kafka to look into, host:port. Left out: the one that the KAFKA_* variables name, else the hub that runs "
        "on this machine, else localhost:9092.",
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
