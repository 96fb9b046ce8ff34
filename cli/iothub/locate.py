"""Finding what a command is about: a hub on this machine, one on a cluster, or any Kafka.

    --context                 the hub of a kubectl context, through port-forwards
    --bootstrap-servers       that Kafka
    --name                    the hub of that name on this machine
    KAFKA_BOOTSTRAP_SERVERS   that Kafka
    a hub that runs here      its Kafka, its MQTT broker, and its HTTP ingestion
    else                      localhost:9092

The other ``KAFKA_*`` variables (security, properties) hold wherever Kafka is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from iothub.errors import NotRunning, UsageError
from iothub.hub.folder import Folder, find_holder
from iothub.hub.state import read_state
from iothub.options import DEFAULT_NAME
from iothub.target import HttpTarget, MqttTarget, Target, Where
from iothub.terminal import Terminal
from telemetry.kafka_config import KafkaConfig


@contextmanager
def open_target(
    where: Where, terminal: Terminal, *, kafka: bool = True, mqtt: bool = False, http: bool = False
) -> Iterator[Target]:
    """Find what ``where`` names and yield it; port-forwards last as long as the block. Raises CliError.

    ``kafka``, ``mqtt`` and ``http`` say what is going to be used: on a cluster only that is forwarded, and the devices'
    account or key is read only with the latter two.
    """
    check_where(where)
    if where.context is None:
        yield find_local_target(where)
        return
    # Only then: it takes the operator's names and a client of Kafka.
    from iothub.cluster import Needs, open_release  # noqa: PLC0415

    needs = Needs(kafka=kafka, mqtt=mqtt, http=http)
    with open_release(where.context, where.namespace, where.release, terminal, needs) as target:
        yield target


def check_where(where: Where) -> None:
    """Raise UsageError where two places are named."""
    if where.context is not None and where.bootstrap_servers is not None:
        raise UsageError("--context and --bootstrap-servers name two Kafkas: write one of them")


def find_local_target(where: Where) -> Target:
    """Return the target that needs no port-forward.

    Raises NotRunning where a hub is named that does not run, and where one is only just starting.
    """
    named = where.bootstrap_servers
    if named is None and where.name == DEFAULT_NAME:
        named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if named:
        return Target(f"Kafka at {named}", named)
    state = read_state(where.name)
    if state is None:
        return _find_usual_target(where.name)
    mqtt = MqttTarget("127.0.0.1", state.mqtt.port, state.mqtt.version)
    return Target(
        f"the hub {state.name!r} on this machine",
        state.kafka.bootstrap_servers,
        in_memory=state.kafka.in_memory,
        mqtt=mqtt,
        http=None if state.http is None else HttpTarget(f"http://127.0.0.1:{state.http.port}"),
        groups=state.groups,
    )


def _find_usual_target(name: str) -> Target:
    """Return the usual address, where no hub called ``name`` is ready; it is not what a hub's user means, though."""
    if find_holder(Folder.of(name)) is not None:
        raise NotRunning(f"the hub {name!r} is starting, or about to end; try again once it says that it is ready")
    if name != DEFAULT_NAME:
        raise NotRunning(f"no hub {name!r} runs on this machine; start it with iothub up --name {name}")
    default = str(KafkaConfig.model_fields["bootstrap_servers"].default)
    return Target(f"Kafka at {default}", default)
