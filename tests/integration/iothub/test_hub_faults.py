"""`iothub up` when things go wrong: killed, twice on one machine, ports taken, a Kafka that is gone."""

from __future__ import annotations

import os
import shutil
import signal
import socket

import psutil
import pytest

from integration.iothub.hub_process import Up
from iothub.hub.folder import Folder
from support.waiting import wait_until

MOCK = ("--kafka", "mock", "--mqtt", "amqtt")


def is_there(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)


def test_killed_it_leaves_nothing_that_stops_the_next_start(up: Up) -> None:
    """Given a hub that is killed, one worker frozen, when it is started again, then the old ones are gone."""
    first = up(*MOCK)
    first.wait_until_ready()
    first.wait_until_running("telemetry-validator")
    old = first.processes()
    (frozen,) = first.worker_pids("telemetry-validator-")
    os.kill(frozen, signal.SIGSTOP)
    first.kill()
    assert is_there(psutil.Process(frozen))

    second = up(*MOCK)
    second.wait_until_ready()
    assert not [process for process in old if is_there(process)]
    assert second.told("ended what the last run had left behind: ")
    second.wait_until_running("telemetry-validator")
    assert second.interrupt() == 0


def test_down_ends_what_a_killed_one_has_left(up: Up) -> None:
    hub = up(*MOCK)
    hub.wait_until_ready()
    hub.wait_until_running("telemetry-validator")
    old = hub.processes()
    (frozen,) = hub.worker_pids("telemetry-validator-")
    os.kill(frozen, signal.SIGSTOP)
    hub.kill()
    done = hub.iothub("down", "--data")
    assert done.returncode == 0
    assert "ended what the hub 'test' had left running when it was killed; its data is deleted" in done.stdout
    assert not [process for process in old if is_there(process)]
    assert not (hub.folder / "data").exists()
    again = hub.iothub("down")
    assert (again.returncode, "no hub 'test' runs" in again.stderr) == (1, True)


def test_down_waits_until_all_has_ended(up: Up) -> None:
    hub = up(*MOCK)
    hub.wait_until_ready()
    old = hub.processes()
    done = hub.iothub("down")
    assert (done.returncode, done.stdout) == (0, "the hub 'test' has ended\n")
    assert not [process for process in old if is_there(process)]
    assert hub.wait(5) == 0


def test_down_ends_one_that_only_starts(up: Up) -> None:
    hub = up(*MOCK)
    wait_until(Folder(hub.folder).socket.exists, hint=hub.tell)
    assert hub.iothub("down").returncode == 0
    assert hub.wait(5) == 0
    assert "Traceback" not in hub.output


def test_two_beside_each_other(up: Up) -> None:
    """Given two hubs, when one ends, then the other goes on; ports and folders are their own."""
    one, other = up(*MOCK, name="one"), up(*MOCK, name="other")
    one.wait_until_ready()
    other.wait_until_ready()
    assert one.state.mqtt.port != other.state.mqtt.port
    assert one.state.kafka.bootstrap_servers != other.state.kafka.bootstrap_servers
    assert one.interrupt() == 0
    other.wait_until_running("telemetry-validator")
    assert other.part("kafka")["restarts"] == 0


def test_a_port_that_is_taken_is_told(up: Up) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        hub = up(*MOCK, "--mqtt-port", str(port))
        assert hub.wait() == 1
        assert hub.output.splitlines()[-1] == (
            f"iothub: port {port} is taken by another program; free it, or choose another with --mqtt-port"
        )


def test_the_kafka_in_memory_is_gone_and_so_is_the_hub(up: Up) -> None:
    hub = up(*MOCK)
    hub.wait_until_ready()
    old = hub.processes()
    os.kill(hub.part("kafka")["pid"], signal.SIGKILL)
    assert hub.wait() == 1
    assert "the Kafka in memory has ended (exit code 137), and what it held is gone" in hub.output.splitlines()[-1]
    assert not [process for process in old if is_there(process)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_while_it_starts_it_ends(up: Up, number: signal.Signals) -> None:
    hub = up(*MOCK)
    hub.wait_for("Kafka is at")
    old = hub.processes()
    os.kill(hub.pid, number)
    assert hub.wait() == 0
    assert not [process for process in old if is_there(process)]
    assert "Traceback" not in hub.output


def test_a_second_ctrl_c_kills(up: Up) -> None:
    """Given a worker that does not end when it is asked to, then the second Ctrl-C does not wait for it."""
    hub = up(*MOCK)
    hub.wait_until_ready()
    hub.wait_until_running("telemetry-validator")
    old = hub.processes()
    (worker,) = hub.worker_pids("telemetry-validator-")
    os.kill(hub.pid, signal.SIGINT)
    hub.wait_for("ending in order")
    os.kill(hub.pid, signal.SIGINT)
    assert hub.wait(10) == 130
    wait_until(lambda: not [process for process in old if is_there(process)])
    assert worker


def test_a_terminal_that_closes_may_say_so_twice(up: Up) -> None:
    """Given a hub that is ending, then another SIGHUP does not cut that short: what is in hand would be lost."""
    hub = up(*MOCK)
    hub.wait_until_ready()
    hub.wait_until_running("telemetry-validator")
    old = hub.processes()
    os.kill(hub.pid, signal.SIGHUP)
    hub.wait_for("ending in order")
    os.kill(hub.pid, signal.SIGHUP)
    assert hub.wait() == 0
    assert not [process for process in old if is_there(process)]


def test_without_its_logs_folder_a_part_is_started_again_too(up: Up) -> None:
    hub = up(*MOCK)
    hub.wait_until_ready()
    shutil.rmtree(hub.folder / "logs")
    os.kill(hub.part("ingestion-mqtt")["pid"], signal.SIGKILL)
    hub.wait_for("ingestion-mqtt is ready again")


def test_a_state_file_that_can_not_be_removed_does_not_stop_the_end(up: Up) -> None:
    """Given a folder in its place, which fails as a disk does that has become read-only, then all ends in order."""
    hub = up(*MOCK)
    hub.wait_until_ready()
    old = hub.processes()
    (hub.folder / "state.json").unlink()
    (hub.folder / "state.json").mkdir()
    os.kill(hub.pid, signal.SIGTERM)
    assert hub.wait() == 0
    assert not [process for process in old if is_there(process)]
    assert "Traceback" not in hub.output
