"""The hub's MQTT brokers with ingestion at their side: closed to devices before its session, and what a kill keeps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from integration.iothub.servers_running import read, running
from integration_helpers import OurProcess
from iothub.servers.mosquitto import find_mosquitto
from iothub.servers.mqtt import is_marked, prepare_mqtt
from iothub.servers.ports import LOOPBACK, is_open
from iothub.servers.server import MqttServer
from support import require
from support.waiting import wait_until

Start = Callable[..., OurProcess]


def ingestion(server: MqttServer, bootstrap_servers: str, protocol: str = "auto") -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "MQTT_HOST": LOOPBACK,
        "MQTT_PORT": str(server.ingestion_port),
        "MQTT_CLIENT_ID": "ingestion-0",
        "MQTT_PROTOCOL": protocol,
    }


def publish(port: int, payloads: set[bytes], *, version: int) -> None:
    """Publish at QoS 1 and return once all is acknowledged."""
    left, done = set(range(1, len(payloads) + 1)), threading.Event()

    def acknowledged(_client: Client, _data: object, mid: int, *_: object) -> None:
        left.discard(mid)
        if not left:
            done.set()

    client = Client(CallbackAPIVersion.VERSION2, "device", protocol=MQTTProtocolVersion(version))
    client.on_publish = acknowledged
    client.connect(LOOPBACK, port)
    client.loop_start()
    try:
        for payload in payloads:
            client.publish("telemetry/DEV-01", payload, qos=1)
        assert done.wait(20), f"{len(left)} not acknowledged"
    finally:
        client.disconnect()
        client.loop_stop()


def test_mosquitto_is_closed_to_devices_until_ingestions_session_is_on_its_disk(
    tmp_path: Path, mock: str, start_process: Start
) -> None:
    if find_mosquitto() is None:
        require.missing("mosquitto", "install it (Debian: apt-get install mosquitto)")
    folder, log = tmp_path / "mqtt", tmp_path / "mqtt.log"
    server = prepare_mqtt(folder, port=None, software="mosquitto")
    assert server.first_program is not None
    with running(server.first_program, log):
        reader = start_process("ingestion.mqtt", **ingestion(server, mock))
        wait_until(lambda: is_marked(server.ingestion_port, version=5), what="the mark", hint=lambda: reader.log)
        assert not is_open(server.port), "a device could have published before"
        # Ingestion is away while devices come for the first time: only the session keeps what they say.
        assert reader.terminate() == 0
    server.note_first_session()
    sent = {b"message %d" % number for number in range(200)}
    with running(server.program, log):
        publish(server.port, sent, version=5)
    again = prepare_mqtt(folder, port=server.port, software="mosquitto")
    assert again.first_program is None, "its session is there"
    with running(again.program, log):
        start_process("ingestion.mqtt", **ingestion(again, mock))
        assert read(mock, "telemetry.raw", "reads", 200) == sent


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
def test_over_amqtt_ingestion_comes_in_with_3_1_1_and_only_then_devices_may(
    tmp_path: Path, mock: str, start_process: Start, protocol: str
) -> None:
    server = prepare_mqtt(tmp_path / "mqtt", port=None, software="amqtt")
    assert server.version == 4
    with running(server.program, tmp_path / "mqtt.log") as broker:
        assert not is_open(server.port), "a device could publish before anybody subscribes"
        reader = start_process("ingestion.mqtt", **ingestion(server, mock, protocol))
        wait_until(
            lambda: is_open(server.port), what="the devices' listener", hint=lambda: reader.log + broker.log_tail()
        )
        assert is_marked(server.ingestion_port, version=4)
        sent = {b"message %d" % number for number in range(200)}
        publish(server.port, sent, version=4)
        assert read(mock, "telemetry.raw", "reads", 200) == sent
        assert reader.terminate() == 0


def test_over_amqtt_what_comes_while_ingestion_is_away_waits_for_it(
    tmp_path: Path, mock: str, start_process: Start
) -> None:
    server = prepare_mqtt(tmp_path / "mqtt", port=None, software="amqtt")
    with running(server.program, tmp_path / "mqtt.log"):
        reader = start_process("ingestion.mqtt", **ingestion(server, mock))
        wait_until(lambda: is_open(server.port), what="the devices' listener", hint=lambda: reader.log)
        assert reader.terminate() == 0
        sent = {b"message %d" % number for number in range(50)}
        publish(server.port, sent, version=4)
        start_process("ingestion.mqtt", **ingestion(server, mock))
        assert read(mock, "telemetry.raw", "reads", 50) == sent


def test_a_shared_subscription_over_3_1_1_is_refused_by_name(tmp_path: Path, mock: str, start_process: Start) -> None:
    server = prepare_mqtt(tmp_path / "mqtt", port=None, software="amqtt")
    with running(server.program, tmp_path / "mqtt.log"):
        reader = start_process("ingestion.mqtt", **ingestion(server, mock), MQTT_SHARE_GROUP="hub")
        assert reader.wait() == 78
        assert "MQTT_SHARE_GROUP is set, and the broker speaks only MQTT 3.1.1" in reader.log


@pytest.mark.parametrize("software", ["mosquitto", "amqtt"])
def test_a_broker_ends_in_order_with_sigterm(tmp_path: Path, software: str) -> None:
    if software == "mosquitto" and find_mosquitto() is None:
        require.missing("mosquitto", "install it (Debian: apt-get install mosquitto)")
    server = prepare_mqtt(tmp_path / "mqtt", port=None, software=software)  # type: ignore[arg-type]
    with running(server.program, tmp_path / "mqtt.log") as process:
        assert process.stop(timeout=10) in {0, -signal.SIGTERM}
    assert not is_open(server.ingestion_port)
