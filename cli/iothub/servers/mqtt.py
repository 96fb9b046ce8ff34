"""The MQTT broker of a hub: mosquitto where it is installed, else amqtt.

How to start one whose data has never seen ingestion (`MqttServer.needs_first_session`):

1. Start ``first_program`` and ingestion, which both use ``ingestion_port``.
2. Wait for the mark (`is_marked`): ingestion's session exists.
3. End ``first_program`` in order, and call ``note_first_session``: the session is on the disk.
4. Start ``program``: devices may come.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from ingestion.settings import MqttSettings
from iothub.errors import StartFailed
from iothub.servers.amqtt_broker import prepare_amqtt
from iothub.servers.mosquitto import find_mosquitto, prepare_mosquitto
from iothub.servers.ports import LOOPBACK, choose_port, free_port
from iothub.servers.server import MqttServer

USUAL_PORT = 1883
READY_TOPIC: str = MqttSettings.model_fields["ready_topic"].default
"""Topic of the retained mark that says: ingestion's session exists."""

Software = Literal["auto", "mosquitto", "amqtt"]

_MISSING = (
    "mosquitto is not installed (Debian: apt-get install mosquitto); install it, or use --mqtt amqtt, "
    "which comes with iothub"
)


def prepare_mqtt(folder: Path, *, port: int | None, software: Software = "auto") -> MqttServer:
    """Make ``folder`` an MQTT broker's and return what to run.

    Without ``port`` it is the usual one, or another where that is taken. Raises StartFailed.
    """
    mosquitto = None if software == "amqtt" else find_mosquitto()
    if mosquitto is None and software == "mosquitto":
        raise StartFailed(_MISSING)
    chosen = choose_port(port or USUAL_PORT, fallback=port is None, option="--mqtt-port")
    ingestion_port = free_port()
    if mosquitto is None:
        return prepare_amqtt(port=chosen, ingestion_port=ingestion_port, ready_topic=READY_TOPIC)
    return prepare_mosquitto(mosquitto, folder, port=chosen, ingestion_port=ingestion_port)


def is_marked(port: int, *, version: int, timeout: float = 1.0) -> bool:
    """Return whether the broker at ``port`` holds the mark; it is waited for up to ``timeout`` seconds."""
    marked = threading.Event()

    def note(_client: Client, _data: object, message: MQTTMessage) -> None:
        if message.payload:
            marked.set()

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
    client.on_message = note
    try:
        client.connect(LOOPBACK, port)
        client.subscribe(READY_TOPIC, qos=1)  # handled in order, behind the CONNECT
        client.loop_start()
        return marked.wait(timeout)
    except OSError:
        return False
    finally:
        client.disconnect()
        client.loop_stop()
