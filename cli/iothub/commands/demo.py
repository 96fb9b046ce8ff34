"""``iothub demo``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from iothub.commands.up import Kafka, KafkaOption, Mqtt, MqttOption
from iothub.errors import UsageError
from iothub.options import (
    DEFAULT_RELEASE,
    ContextOption,
    HubFilesOption,
    NamespaceOption,
    OutputOption,
    ReleaseOption,
    ValidatorOption,
)
from iothub.terminal import OutputFormat, Terminal, find_program

_NAME = "demo"


def demo(
    *,
    seconds: Annotated[float, typer.Option("--duration", min=1, help="How long devices publish.")] = 60,
    devices: Annotated[int, typer.Option("--devices", min=1, max=100_000, help="How many devices.")] = 20,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="Messages a second, of all together.")] = 50,
    damaged: Annotated[
        float, typer.Option("--damaged", min=0, max=1, help="Share of damaged messages: 0.02 is one in fifty.")
    ] = 0.02,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same devices, values and damage.")] = 0,
    files: HubFilesOption = None,
    validator: ValidatorOption = True,
    kafka: KafkaOption = Kafka.AUTO,
    mqtt: MqttOption = Mqtt.AUTO,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the hub's folder: its data and its logs.")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write the screen, as it was shortly before the end, as SVG.")
    ] = None,
    context: ContextOption = None,
    namespace: NamespaceOption = None,
    release: ReleaseOption = DEFAULT_RELEASE,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Show the whole pipeline at work, and count what arrives.

    Starts a hub of its own, as iothub up does, and devices that publish; some of their messages are damaged. Ends with
    what was sent, acknowledged, clean, dead-lettered and lost, and with exit code 1 if anything is lost. With --context
    the devices publish to a cluster's hub instead. Ctrl-C ends it early, in order and with its count.
    """
    from iothub.demo.board import DemoOptions  # noqa: PLC0415  # only when it runs
    from iothub.demo.demo import run_demo  # noqa: PLC0415
    from iothub.demo.show import check_picture  # noqa: PLC0415
    from iothub.demo.stage import ClusterStage, HubStage  # noqa: PLC0415
    from iothub.demo.summary import render_summary  # noqa: PLC0415
    from iothub.demo.tally import MOST_MESSAGES  # noqa: PLC0415
    from iothub.hub.hub import HubOptions  # noqa: PLC0415
    from iothub.locate import open_target  # noqa: PLC0415
    from iothub.target import Where  # noqa: PLC0415

    if rate * seconds > MOST_MESSAGES:
        raise UsageError(
            f"{rate * seconds:,.0f} messages are more than a demo keeps count of ({MOST_MESSAGES:,}); lower --rate or "
            "--duration, or send them with iothub simulate"
        )
    if picture is not None:
        check_picture(picture)
    where = Where(context=context, namespace=namespace, release=release)
    options = DemoOptions(seconds, devices, rate, damaged, seed, picture)
    terminal = Terminal(output)
    if context is None:
        stage = HubStage(
            HubOptions(
                name=_NAME,
                files=tuple(files or ()),
                validator=validator,
                kafka=kafka.value,
                mqtt=mqtt.value,
                fresh=True,
            ),
            keep=keep,
        )
        summary = asyncio.run(run_demo(options, stage, terminal, kept=stage.folder if keep else None))
    else:
        if files or not validator or keep or kafka is not Kafka.AUTO or mqtt is not Mqtt.AUTO:
            raise UsageError(
                "--filename, --no-validator, --kafka, --mqtt and --keep are about a hub on this machine: leave "
                "--context out"
            )
        with open_target(where, terminal, mqtt=True) as target:
            summary = asyncio.run(run_demo(options, ClusterStage(target), terminal))
    terminal.show(
        summary.to_document(),
        lambda: render_summary(summary, program=find_program(), cluster=where.to_cluster_options()),
    )
    if not summary.is_good:
        raise typer.Exit(1)
