"""What other commands know of a running hub: its folder and the file in it that says where everything is.

$XDG_STATE_HOME/iot-hub/NAME/   (~/.local/state/iot-hub/NAME)
  state.json                    HubState, there while the hub runs
  …                             data, logs and the control socket: the rest of `iothub.hub` says
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from iothub.errors import UsageError

STATE_FILE = "state.json"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class KafkaPart(_Model):
    """Where the hub's Kafka is."""

    bootstrap_servers: str
    in_memory: bool
    """Whether it is librdkafka's mock cluster."""


class MqttPart(_Model):
    """Where the hub's MQTT broker is, on 127.0.0.1 and open to anyone there."""

    port: int
    version: int
    """5, or 4 for MQTT 3.1.1."""
    software: str
    """For a person: ``mosquitto 2.1.2``, ``amqtt 0.12.1``."""


class HttpPart(_Model):
    """Where the hub's HTTP ingestion is, on 127.0.0.1 and open to anyone there."""

    port: int


class HubState(_Model):
    """A running hub."""

    name: str
    pid: int
    created: float
    """When the process was created, as psutil tells: with the pid, it names the process for good."""
    kafka: KafkaPart
    mqtt: MqttPart
    http: HttpPart | None = None
    groups: tuple[str, ...] = ()
    """Consumer groups of its TelemetryConsumers."""


def folder_of(name: str) -> Path:
    """Return the folder of the hub ``name``, whether there is one or not. Raises UsageError where nobody says where."""
    given = os.environ.get("XDG_STATE_HOME", "")
    # A relative one counts as none, as the XDG specification has it: it would mean another folder in each terminal.
    home = Path(given) if os.path.isabs(given) else _find_home() / ".local" / "state"
    return home / "iot-hub" / name


def read_state(name: str) -> HubState | None:
    """Return the state of the hub ``name``, None where none runs."""
    try:
        state = HubState.model_validate_json((folder_of(name) / STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return state if is_process(state.pid, state.created) else None


def write_state(state: HubState) -> None:
    """Write the state in one step, so that no reader sees half of it."""
    path = folder_of(state.name) / STATE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(state.model_dump_json(indent=2) + "\n", "utf-8")
    new.replace(path)


def _find_home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder to keep a hub's state in: set XDG_STATE_HOME to a folder, by its whole path"
        ) from error


def is_process(pid: int, created: float) -> bool:
    """Return whether the process that had ``pid`` when it was created at ``created`` is still there."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
