"""``iothub up``: the pipeline on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from iothub.hub.events import Event, format_now
from iothub.options import DEFAULT_NAME, HubFilesOption, NameOption, OutputOption, ValidatorOption
from iothub.terminal import OutputFormat, Terminal


class Kafka(StrEnum):
    """Which Kafka."""

    AUTO = "auto"
    APACHE = "apache"
    MOCK = "mock"


class Mqtt(StrEnum):
    """Which MQTT broker."""

    AUTO = "auto"
    MOSQUITTO = "mosquitto"
    AMQTT = "amqtt"


KafkaOption = Annotated[
    Kafka,
    typer.Option("--kafka", help="Apache Kafka (Java 17 and Maven), the one in memory, or whichever this machine has."),
]
MqttOption = Annotated[
    Mqtt, typer.Option("--mqtt", help="mosquitto, amqtt (comes with iothub), or whichever this machine has.")
]
KafkaPortOption = Annotated[
    int | None,
    typer.Option("--kafka-port", min=1, max=65_535, help="Kafka's port; left out, 9092 or a free one."),
]
MqttPortOption = Annotated[
    int | None,
    typer.Option("--mqtt-port", min=1, max=65_535, help="The MQTT broker's port; left out, 1883 or a free one."),
]
HttpPortOption = Annotated[
    int | None,
    typer.Option("--http-port", min=1, max=65_535, help="HTTP ingestion's port; left out, 8000 or a free one."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Begin without what the last run has kept.")]


def up(
    *,
    files: HubFilesOption = None,
    validator: ValidatorOption = True,
    kafka: KafkaOption = Kafka.AUTO,
    mqtt: MqttOption = Mqtt.AUTO,
    kafka_port: KafkaPortOption = None,
    mqtt_port: MqttPortOption = None,
    http_port: HttpPortOption = None,
    fresh: FreshOption = False,
    name: NameOption = DEFAULT_NAME,
    output: OutputOption = OutputFormat.TABLE,
) -> None:
    """Run the whole pipeline on this machine, until Ctrl-C.

    Kafka, an MQTT broker, ingestion (MQTT and HTTP), and every TelemetryConsumer of the files, as processes. The files
    are watched: edit replicas, and workers come and go. From another terminal: iothub get, iothub logs, iothub scale,
    iothub down.
    """
    # Here, and not above: every other command would wait for it.
    from iothub.hub.hub import Hub, HubOptions  # noqa: PLC0415
    from iothub.hub.running import run_hub  # noqa: PLC0415

    terminal = Terminal(output)
    options = HubOptions(
        name=name,
        files=tuple(files or ()),
        validator=validator,
        kafka=kafka.value,
        mqtt=mqtt.value,
        kafka_port=kafka_port,
        mqtt_port=mqtt_port,
        http_port=http_port,
        fresh=fresh,
    )

    def show(event: Event) -> None:
        document = {"time": format_now(), "kind": event.kind, "subject": event.subject, "message": str(event)}
        try:
            terminal.emit(document, terminal.fold(str(event)))
        except OSError:
            # Nobody reads any more: the terminal is closed, or the program behind the pipe has ended.
            sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            hub.ask_to_end()

    hub = Hub(options, report=show)
    asyncio.run(run_hub(hub))
