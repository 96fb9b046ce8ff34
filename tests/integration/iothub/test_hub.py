"""`iothub up` without Java and mosquitto, and what another terminal can ask of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from integration.iothub.hub_process import Device, HubProcess, header, read_topic
from iothub.hub.folder import Folder
from support.waiting import wait_until


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    running = HubProcess(tmp_path_factory.mktemp("state"), "--kafka", "mock", "--mqtt", "amqtt", name="shared")
    try:
        running.wait_until_ready()
        running.wait_until_running("telemetry-validator")
        running.wait_until_running("telemetry-raw-logger")
        yield running
    finally:
        running.close()


@pytest.fixture
def device(hub: HubProcess) -> Iterator[Device]:
    made = Device(hub.state)
    yield made
    made.close()


def test_a_reading_goes_all_the_way(hub: HubProcess, device: Device) -> None:
    """Given the packaged consumers, when a device publishes, then clean and dlq have what is good and what is not."""
    sent = device.publish(20)
    device.wait_until_acknowledged(sent)
    servers = hub.state.kafka.bootstrap_servers
    wait_until(lambda: len(read_topic(servers, "telemetry.clean")) >= 19, hint=hub.tell)
    wait_until(lambda: len(read_topic(servers, "telemetry.dlq")) >= 1, hint=hub.tell)
    assert {header(message, "dlq.reason") for message in read_topic(servers, "telemetry.dlq")} == {"not_json"}
    wait_until(lambda: "DEV-01" in hub.iothub("logs", "telemetry-raw-logger").stdout, hint=hub.tell)


def test_devices_may_post_in_place_of_publishing(hub: HubProcess, tmp_path: Path) -> None:
    """When devices are simulated over HTTP, then all is acknowledged, and Kafka has it under the ids that are told."""
    ids = tmp_path / "ids"
    told = ("--http", "--messages", "60", "--rate", "200", "--damaged", "0.1", "--acknowledged", str(ids))
    done = hub.iothub("simulate", *told, "-o", "json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["sent"], summary["acknowledged"], sum(summary["damaged"].values())) == (60, 60, 6)
    servers = hub.state.kafka.bootstrap_servers
    arrived = [message for message in read_topic(servers, "telemetry.raw") if header(message, "source") == "http"]
    assert {header(message, "id") for message in arrived} == set(ids.read_text().split())


def test_it_tells_where_everything_is_and_what_it_can_not(hub: HubProcess) -> None:
    state = hub.state
    assert (state.name, state.pid, state.kafka.in_memory, state.mqtt.version) == ("shared", hub.pid, True, 4)
    assert hub.told(f"Kafka is at {state.kafka.bootstrap_servers}")
    assert hub.told(f"MQTT is at 127.0.0.1:{state.mqtt.port}")
    assert state.http is not None
    assert hub.told(f"HTTP is at 127.0.0.1:{state.http.port}")
    limits = [event["message"] for event in hub.events if event["kind"] == "limit"]
    assert any("in memory" in limit for limit in limits)
    assert any("amqtt" in limit for limit in limits)
    wait_until(lambda: hub.state.groups == ("iot-hub-validator", "telemetry-raw-logger"))


def test_get_prints_the_columns_of_kubectl(hub: HubProcess) -> None:
    lines = hub.iothub("get").stdout.splitlines()
    assert lines[0].split() == ["NAME", "TOPICS", "GROUP", "DESIRED", "READY", "LAG", "DEAD", "STATUS", "AGE"]
    (validator,) = (line.split() for line in lines if line.startswith("telemetry-validator"))
    assert validator[:-1] == [
        "telemetry-validator",
        '["telemetry.raw"]',
        "iot-hub-validator",
        "1",
        "1",
        "<none>",
        "<none>",
        "Running",
    ]
    assert any(line.startswith("kafka") and "running" in line for line in lines)
    assert "1 of 1 worker is ready" in hub.iothub("get", "-o", "wide").stdout
    alone = json.loads(hub.iothub("get", "mqtt", "-o", "json").stdout)
    assert (alone["consumers"], [part["name"] for part in alone["parts"]]) == ([], ["mqtt"])
    unknown = hub.iothub("get", "nothing")
    assert (unknown.returncode, "there is no 'nothing'" in unknown.stderr) == (2, True)


def test_scale_makes_workers_come_and_go(hub: HubProcess) -> None:
    assert hub.iothub("scale", "telemetry-raw-logger", "--replicas", "3").stdout == "telemetry-raw-logger scaled to 3\n"
    hub.wait_until_running("telemetry-raw-logger", 3)
    assert len(hub.worker_pids("telemetry-raw-logger-")) == 3
    assert hub.iothub("scale", "telemetry-raw-logger", "--replicas", "1").returncode == 0
    hub.wait_until_running("telemetry-raw-logger", 1)
    wait_until(lambda: len(hub.worker_pids("telemetry-raw-logger-")) == 1, hint=hub.tell)
    wait_until(lambda: len(hub.pods("telemetry-raw-logger")) == 1, hint=hub.tell)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("telemetry-raw-logger", "--replicas", "-1"), "spec.replicas: Invalid value: -1"),
        (("telemetry-raw-logger", "--replicas", "1001"), "should be less than or equal to 1000"),
        (("nothing", "--replicas", "1"), "there is no TelemetryConsumer 'nothing'"),
    ],
)
def test_what_can_not_be_scaled(hub: HubProcess, arguments: tuple[str, ...], sentence: str) -> None:
    done = hub.iothub("scale", *arguments)
    assert (done.returncode, sentence in done.stderr, done.stdout) == (2, True, "")
    assert "Traceback" not in done.stderr


def test_logs_of_consumers_workers_and_parts(hub: HubProcess) -> None:
    (pod,) = hub.pods("telemetry-validator")
    assert "consuming" in hub.iothub("logs", "telemetry-validator").stdout
    assert "consuming" in hub.iothub("logs", pod).stdout
    assert len(hub.iothub("logs", "ingestion-mqtt", "--tail", "2").stdout.splitlines()) == 2
    line = json.loads(hub.iothub("logs", pod, "--tail", "1", "-o", "json").stdout)
    assert line["log"] == pod
    unknown = hub.iothub("logs", "nothing")
    assert unknown.returncode == 2
    assert "telemetry-validator" in unknown.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_is_started_again(hub: HubProcess, device: Device, number: signal.Signals) -> None:
    before = len(hub.events)
    (pid,) = hub.worker_pids("telemetry-validator-")
    os.kill(pid, number)
    hub.wait_for("telemetry-validator-", after=before)
    hub.wait_until_running("telemetry-validator")
    wait_until(lambda: hub.worker_pids("telemetry-validator-") not in ([], [pid]))
    (pod,) = hub.pods("telemetry-validator")
    assert "consuming" in hub.iothub("logs", pod, "--previous").stdout
    device.wait_until_acknowledged(device.publish(5))


def test_http_ingestion_that_is_killed_is_started_again_where_it_was(hub: HubProcess) -> None:
    before, address = len(hub.events), hub.part("ingestion-http")["address"]
    os.kill(hub.part("ingestion-http")["pid"], signal.SIGKILL)
    hub.wait_for("ingestion-http is ready again", after=before)
    assert hub.part("ingestion-http")["address"] == address
    assert hub.iothub("simulate", "--http", "--messages", "5", "--rate", "100").returncode == 0


def test_ingestion_that_is_killed_is_started_again(hub: HubProcess, device: Device) -> None:
    before = len(hub.events)
    os.kill(hub.part("ingestion-mqtt")["pid"], signal.SIGKILL)
    hub.wait_for("ingestion-mqtt is started again in 1 s: it ended with exit code 137", after=before)
    hub.wait_for("ingestion-mqtt is ready again", after=before)
    assert hub.part("ingestion-mqtt")["restarts"] == 1
    sent = device.publish(5)
    servers = hub.state.kafka.bootstrap_servers
    wait_until(lambda: set(sent) <= {message.value() for message in read_topic(servers, "telemetry.raw")})


def test_a_second_one_of_the_same_name_is_refused(hub: HubProcess) -> None:
    done = hub.iothub("up", "--kafka", "mock")
    assert done.returncode == 1
    assert f"the hub 'shared' runs already (process {hub.pid})" in done.stderr
    assert "iothub down --name shared" in done.stderr
    assert hub.iothub("get").returncode == 0
    assert hub.state.pid == hub.pid


def test_nothing_of_it_is_left_after_ctrl_c(tmp_path: Path) -> None:
    running = HubProcess(tmp_path, "--kafka", "mock", "--mqtt", "amqtt")
    running.wait_until_ready()
    running.wait_until_running("telemetry-validator")
    started = running.processes()
    assert len(started) >= 5
    assert running.interrupt() == 0
    assert not [process for process in started if psutil.pid_exists(process.pid) and process.is_running()]
    assert not (running.folder / "state.json").exists()
    assert not Folder(running.folder).socket.exists()
    assert "Traceback" not in running.output
    done = running.iothub("get")
    assert (done.returncode, done.stderr) == (
        1,
        "iothub: no hub 'test' runs on this machine; start it with: iothub up --name test\n",
    )
