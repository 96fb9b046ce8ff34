"""`iothub up` on Apache Kafka and mosquitto: whatever is killed, what was acknowledged to a device arrives."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from integration.iothub.hub_process import Device, HubProcess, read_topic
from iothub.servers.kafka import find_problem
from support import require
from support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.mosquitto]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    problem = find_problem()
    if problem is not None:
        require.missing("Apache Kafka", problem)
    running = HubProcess(tmp_path_factory.mktemp("state"), "--kafka", "apache", "--mqtt", "mosquitto", name="apache")
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


def test_down_and_up_again_everything_is_still_there(hub: HubProcess) -> None:
    """Given messages that no worker has read yet, when the hub ends and starts again, then they are handled."""
    assert hub.iothub("scale", "telemetry-validator", "--replicas", "0").returncode == 0
    wait_until(lambda: not hub.worker_pids("telemetry-validator-"), hint=hub.tell)
    device = Device(hub.state, "DEV-78")
    sent = device.publish(100)
    device.wait_until_acknowledged(sent)
    device.close()
    assert hub.interrupt() == 0
    again = HubProcess(hub.folder.parent.parent, "--kafka", "apache", "--mqtt", "mosquitto", name="apache")
    try:
        again.wait_until_ready()
        expected = numbers(set(sent))

        def arrived() -> bool:
            found = values(again, "telemetry.clean") | values(again, "telemetry.dlq")
            return numbers({value for value in found if b"DEV-78" in value}) >= expected

        wait_until(arrived, timeout=60, interval=0.5, hint=again.tell)
    finally:
        again.close()
