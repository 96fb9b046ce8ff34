"""`iothub up` on Apache Kafka and mosquitto: whatever is killed, what was acknowledged to a device arrives."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from integration.iothub.hub_process import Device, HubProcess, read_topic
from iothub.resources import find_resource
from iothub.servers.kafka import find_problem
from support import require
from support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.mosquitto]


def start(home: Path) -> HubProcess:
    """Start a hub whose TelemetryConsumers are files that can be edited, beside what it keeps."""
    files = home / "files"
    if not files.exists():
        files.mkdir()
        for name in ("telemetry-validator.yaml", "telemetry-raw-logger.yaml"):
            shutil.copy(find_resource("examples") / name, files / name)
    return HubProcess(home, "--kafka", "apache", "--mqtt", "mosquitto", "-f", str(files), name="apache")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    problem = find_problem()
    if problem is not None:
        require.missing("Apache Kafka", problem)
    running = start(tmp_path_factory.mktemp("state"))
    try:
        running.wait_until_ready(180)
        running.wait_until_running("telemetry-validator")
        yield running
    finally:
        running.close()


def values(hub: HubProcess, topic: str) -> set[bytes]:
    return {message.value() or b"" for message in read_topic(hub.state.kafka.bootstrap_servers, topic)}


def numbers(payloads: set[bytes]) -> set[int]:
    """Return the numbers that the device has counted its messages by."""
    return {int(payload.partition(b'"number":')[2].strip().partition(b"}")[0].strip()) for payload in payloads}


def kill_part(hub: HubProcess, name: str) -> None:
    os.kill(hub.part(name)["pid"], signal.SIGKILL)


def test_nothing_acknowledged_is_lost_whatever_is_killed(hub: HubProcess) -> None:
    """Given a device that publishes, when ingestion, a worker and Kafka are killed in turn, then clean and dlq together
    have every message that was acknowledged."""
    device = Device(hub.state, "DEV-77")
    device.wait_until_acknowledged(device.publish(300))
    sent = list(device.acknowledged)
    for victim in ("ingestion-mqtt", "telemetry-validator", "kafka"):
        before = len(hub.events)
        sent += device.publish(300)
        if victim == "telemetry-validator":
            (pid,) = hub.worker_pids("telemetry-validator-")
            os.kill(pid, signal.SIGKILL)
            hub.wait_for("is started again in", after=before)
        else:
            kill_part(hub, victim)
            hub.wait_for(f"{victim} is ready again", after=before, timeout=90)
        sent += device.publish(300)
    device.wait_until_acknowledged(sent, timeout=120)
    expected = numbers(device.acknowledged)
    assert len(expected) == 300 + 3 * 600

    def arrived() -> bool:
        return numbers(values(hub, "telemetry.clean") | values(hub, "telemetry.dlq")) >= expected

    wait_until(arrived, timeout=120, interval=1, hint=hub.tell)
    assert values(hub, "telemetry.raw") >= device.acknowledged
    hub.wait_until_running("telemetry-validator")
    device.close()


def test_lag_and_dead_letters_are_told(hub: HubProcess) -> None:
    """Given damaged messages and workers that are stopped, then `iothub get` has the dead letters and the lag."""
    device = Device(hub.state, "DEV-79")
    device.wait_until_acknowledged(device.publish(60))

    def told(consumer: str) -> tuple[int | None, int]:
        status = hub.consumer(consumer).get("status", {})
        return status.get("lag"), status.get("deadLettered", {}).get("count", 0)

    wait_until(lambda: told("telemetry-validator")[1] >= 2, timeout=90, interval=0.5, hint=hub.tell)
    wait_until(lambda: told("telemetry-raw-logger")[0] == 0, timeout=90, interval=0.5, hint=hub.tell)
    assert hub.iothub("scale", "telemetry-raw-logger", "--replicas", "0").returncode == 0
    wait_until(lambda: not hub.worker_pids("telemetry-raw-logger-"), hint=hub.tell)
    device.wait_until_acknowledged(device.publish(40))
    device.close()
    wait_until(lambda: told("telemetry-raw-logger")[0] == 40, timeout=60, interval=0.5, hint=hub.tell)
    (logger,) = (
        line.split() for line in hub.iothub("get").stdout.splitlines() if line.startswith("telemetry-raw-logger")
    )
    assert logger[5:7] == ["40", "0"]
    assert hub.iothub("scale", "telemetry-raw-logger", "--replicas", "1").returncode == 0


def test_a_reset_is_an_annotation(hub: HubProcess) -> None:
    """Given a group that is at the end, when its file asks for a reset, then its worker reads all of it once more."""
    hub.wait_until_running("telemetry-raw-logger")
    number = len(read_topic(hub.state.kafka.bootstrap_servers, "telemetry.raw"))
    assert number > 0
    wait_until(
        lambda: hub.consumer("telemetry-raw-logger")["status"].get("lag") == 0, timeout=60, interval=0.5, hint=hub.tell
    )
    (worker,) = hub.worker_pids("telemetry-raw-logger-")
    before, file = len(hub.events), hub.folder.parent.parent / "files" / "telemetry-raw-logger.yaml"
    body = yaml.safe_load(file.read_text())
    body["metadata"]["annotations"] = {"telemetry.iot-hub.io/reset-offsets": "earliest"}
    file.write_text(yaml.safe_dump(body))
    hub.wait_for("telemetry-raw-logger: OffsetsReset: ", after=before, timeout=90)
    reset = hub.consumer("telemetry-raw-logger")["status"]["offsetsReset"]
    assert (reset["state"], reset["moved"]) == ("Done", -number)
    hub.wait_until_running("telemetry-raw-logger")
    assert hub.worker_pids("telemetry-raw-logger-") != [worker]
    wait_until(
        lambda: hub.consumer("telemetry-raw-logger")["status"].get("lag") == 0, timeout=90, interval=0.5, hint=hub.tell
    )
    assert hub.consumer("telemetry-raw-logger")["status"]["offsetsReset"] == reset


def test_down_and_up_again_everything_is_still_there(hub: HubProcess) -> None:
    """Given messages that no worker has read yet, when the hub ends and starts again, then they are handled."""
    assert hub.iothub("scale", "telemetry-validator", "--replicas", "0").returncode == 0
    wait_until(lambda: not hub.worker_pids("telemetry-validator-"), hint=hub.tell)
    device = Device(hub.state, "DEV-78")
    sent = device.publish(100)
    device.wait_until_acknowledged(sent)
    device.close()
    assert hub.interrupt() == 0
    again = start(hub.folder.parent.parent)
    try:
        again.wait_until_ready()
        expected = numbers(set(sent))

        def arrived() -> bool:
            found = values(again, "telemetry.clean") | values(again, "telemetry.dlq")
            return numbers({value for value in found if b"DEV-78" in value}) >= expected

        wait_until(arrived, timeout=60, interval=0.5, hint=again.tell)
    finally:
        again.close()
