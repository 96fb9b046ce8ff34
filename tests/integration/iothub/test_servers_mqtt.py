"""The hub's MQTT brokers with ingestion at their side: closed to devices before its session, and what a kill keeps."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
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
from support.mosquitto import CONTAINER_SCRIPT
from support.mosquitto import find_mosquitto as find_program
from support.waiting import wait_until

Start = Callable[..., OurProcess]

SQLITE_PLUGIN = "mosquitto_persist_sqlite.so"


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


@pytest.fixture
def mosquitto_2_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Put a mosquitto with the SQLite plugin first on the PATH; yield what kills its last run."""
    program = find_program((2, 1))
    if program.image is None:
        yield lambda: None
        return
    docker, name = os.environ.get("DOCKER", "docker"), f"iot-hub-test-{uuid.uuid4().hex[:12]}"
    plugin, command = tmp_path / "lib" / SQLITE_PLUGIN, tmp_path / "sbin" / "mosquitto"
    for path in (plugin, command):
        path.parent.mkdir()
    with plugin.open("wb") as file:
        subprocess.run(
            [docker, "run", "--rm", "--entrypoint=cat", program.image, f"/usr/lib/{SQLITE_PLUGIN}"],
            stdout=file,
            check=True,
            timeout=60,
        )
    run = shlex.join([docker, "run", "--rm", "-i", "--network=host", f"--user={os.geteuid()}:{os.getegid()}"])
    where = shlex.join([f"--volume={tmp_path}:{tmp_path}", f"--name={name}", "--entrypoint=sh", program.image])
    command.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -h ] && exec {run} --entrypoint=mosquitto {program.image} -h </dev/null\n'
        f'exec {run} {where} -c {shlex.quote(CONTAINER_SCRIPT)} {program.path} "$2"\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")

    def kill() -> None:
        # A SIGKILL of everything in it, and the name is free again.
        subprocess.run([docker, "rm", "--force", name], capture_output=True, check=False, timeout=60)

    yield kill
    kill()


def test_mosquitto_2_1_keeps_what_it_acknowledged_when_it_is_killed(
    tmp_path: Path, mock: str, start_process: Start, mosquitto_2_1: Callable[[], None]
) -> None:
    folder, log = tmp_path / "mqtt", tmp_path / "mqtt.log"
    server = prepare_mqtt(folder, port=None, software="mosquitto")
    assert server.limits == ()
    assert server.first_program is not None
    with running(server.first_program, log):
        reader = start_process("ingestion.mqtt", **ingestion(server, mock))
        wait_until(lambda: is_marked(server.ingestion_port, version=5), what="the mark", hint=lambda: reader.log)
        assert reader.terminate() == 0
    server.note_first_session()
    sent = {b"message %d" % number for number in range(2000)}
    with running(server.program, log) as process:
        publish(server.port, sent, version=5)
        mosquitto_2_1()
        process.kill()
    again = prepare_mqtt(folder, port=server.port, software="mosquitto")
    with running(again.program, log):
        start_process("ingestion.mqtt", **ingestion(again, mock))
        assert read(mock, "telemetry.raw", "reads", 2000) == sent


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
