"""A machine's disk, ports and limits, and the hubs on it."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from iothub.doctor import machine
from iothub.doctor.finding import State
from iothub.hub.state import HubState, KafkaPart, MqttPart, write_state
from unit.iothub.doctor.conftest import Install

HOW_TO_LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))
from iothub.doctor.machine import check_descriptors
finding = check_descriptors()
print(finding.state, finding.found, finding.advice, sep="|")
"""


@pytest.fixture(autouse=True)
def _bare(install: Install) -> None:
    """Given folders of the test's own."""


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def test_disk_is_looked_at_where_things_will_be(tmp_path: Path) -> None:
    hubs, jars = machine.check_disk()
    assert hubs.state is jars.state is State.OK
    assert str(tmp_path / "state" / "iot-hub") in hubs.found
    assert not (tmp_path / "state").exists()


def test_a_full_disk_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LEAST_DISK", 2**60)
    hubs, _ = machine.check_disk()
    assert hubs.state is State.WRONG
    assert "XDG_STATE_HOME" in hubs.advice


def test_a_port_that_is_taken_has_a_holder_and_a_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(machine, "_OPTIONS", {port: "IOTHUB_MQTT_PORT"})
        [taken] = machine.check_ports()
    [free] = machine.check_ports()
    assert (taken.state, free.found) == (State.OK, "free")
    assert f"(process {os.getpid()})" in taken.found
    assert "`iothub up` takes another one" in taken.means
    assert "IOTHUB_MQTT_PORT" in taken.means


def test_enough_files_may_be_open() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert (machine.check_descriptors().state is State.OK) is (soft >= machine.LEAST_DESCRIPTORS)


def test_too_few_open_files_are_wrong_and_it_says_how_many_can_be_had() -> None:
    done = subprocess.run([sys.executable, "-c", HOW_TO_LIMIT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "wrong|at most 256 a process|ulimit -n 2048\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has inotify")
def test_files_can_be_watched_until_the_instances_are_used_up() -> None:
    [finding] = machine.check_watches()
    assert finding.state is State.OK
    # Given that this user has taken every instance that there is
    inotify_init = ctypes.CDLL(None).inotify_init1
    taken: list[int] = []
    try:
        while len(taken) < 4096 and (descriptor := inotify_init(os.O_CLOEXEC)) >= 0:
            taken.append(descriptor)
        if len(taken) == 4096:
            pytest.skip("this machine has too many to take")
        [finding] = machine.check_watches()
    finally:
        for descriptor in taken:
            os.close(descriptor)
    assert finding.state is State.WRONG
    assert "max_user_instances" in finding.advice


def test_no_hub_no_finding() -> None:
    assert list(machine.check_hubs()) == []


def test_a_hub_that_runs_is_shown(sleeper: psutil.Process) -> None:
    write_state(
        HubState(
            name="lab",
            pid=sleeper.pid,
            created=sleeper.create_time(),
            kafka=KafkaPart(bootstrap_servers="127.0.0.1:29092", in_memory=True),
            mqtt=MqttPart(port=21883, version=4, software="amqtt 0.12"),
        )
    )
    [finding] = machine.check_hubs()
    assert (finding.name, finding.state) == ("hub lab", State.OK)
    assert f"(process {sleeper.pid})" in finding.found
    assert "Kafka in memory at 127.0.0.1:29092" in finding.found


def test_what_a_killed_hub_has_left_is_wrong(tmp_path: Path, sleeper: psutil.Process) -> None:
    # Given the notes of a hub that is gone, of which one process is still there
    folder = tmp_path / "state" / "iot-hub" / "lab"
    folder.mkdir(parents=True)
    notes = [
        {"name": "kafka", "pid": sleeper.pid, "created": sleeper.create_time()},
        {"name": "mqtt", "pid": sleeper.pid, "created": 1.0},
    ]
    (folder / "processes.json").write_text(json.dumps(notes))
    [finding] = machine.check_hubs()
    assert finding.state is State.WRONG
    assert f"kafka (process {sleeper.pid})" in finding.found
    assert "mqtt" not in finding.found
    assert finding.advice == "iothub down --name lab"


def test_a_hub_that_ended_in_order_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "state" / "iot-hub" / "lab").mkdir(parents=True)
    assert list(machine.check_hubs()) == []
