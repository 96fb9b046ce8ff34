"""Ingestion on this machine: how its two programs are run, and asked whether they are alive."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from iothub.hub.parts import Liveness
from iothub.hub.ports import pick_port
from iothub.hub.probes import Probe, is_answering
from iothub.servers.ports import LOOPBACK
from iothub.servers.program import Program
from iothub.servers.server import MqttServer

_ALIVE = Probe("/healthz", period_seconds=10, timeout_seconds=5, failure_threshold=3)


@dataclass(frozen=True)
class Intake:
    """One program that takes messages in."""

    program: Program
    liveness: Liveness


def describe_mqtt_ingestion(bootstrap: str, broker: MqttServer, session: str) -> Intake:
    """Return the one that reads ``broker``, which keeps its messages under the name ``session``."""
    return _describe(
        "ingestion-mqtt",
        "ingestion.mqtt",
        KAFKA_BOOTSTRAP_SERVERS=bootstrap,
        MQTT_HOST=LOOPBACK,
        MQTT_PORT=str(broker.ingestion_port),
        MQTT_PROTOCOL="5" if broker.version == 5 else "3.1.1",
        MQTT_CLIENT_ID=session,
    )


def describe_http_ingestion(bootstrap: str, port: int) -> Intake:
    """Return the one that devices post to, at ``port``: anyone on this machine, and nobody else."""
    return _describe(
        "ingestion-http",
        "ingestion.http",
        KAFKA_BOOTSTRAP_SERVERS=bootstrap,
        INGESTION_HTTP_HOST=LOOPBACK,
        INGESTION_HTTP_PORT=str(port),
    )


def _describe(name: str, module: str, **environment: str) -> Intake:
    port = pick_port()
    program = Program(
        name=name,
        command=(sys.executable, "-m", module),
        environment={"HTTP_PORT": str(port), "LOG_FORMAT": "console", **environment},
        is_ready=lambda: is_answering(port, "/readyz"),
    )
    return Intake(program, Liveness(port, _ALIVE))
