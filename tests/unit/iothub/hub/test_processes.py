"""What a process of the hub gets from the terminal, and threads that nobody waits for."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from iothub.hub.ports import HIGHEST, LOWEST, pick_port
from iothub.hub.processes import build_base_environment
from iothub.hub.threads import run_on_own_thread
from iothub.servers import ports as server_ports


def test_what_means_something_to_workers_is_the_hubs_to_set() -> None:
    outer = {
        "PATH": "/bin",
        "HOME": "/root",
        "KAFKA_BOOTSTRAP_SERVERS": "other:9092",
        "CONSUMER_TOPICS": "x",
        "MQTT_HOST": "x",
        "INGESTION_TOPIC": "x",
        "HTTP_PORT": "1",
        "LOG_FORMAT": "json",
        "TERMINATION_LOG": "/x",
        "kafka_group_id": "x",
    }
    assert build_base_environment(outer) == {"PATH": "/bin", "HOME": "/root", "PYTHONUNBUFFERED": "1"}


def test_pythonpath_means_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = build_base_environment({"PYTHONPATH": os.pathsep.join((".", "own", "/opt/x"))})["PYTHONPATH"]
    assert found.split(os.pathsep) == [str(tmp_path), str(tmp_path / "own"), "/opt/x"]


def test_probes_ports_are_none_of_the_servers() -> None:
    """A server that is away for a moment must find its port free."""
    assert server_ports.LOWEST > HIGHEST
    picked = [pick_port() for _ in range(50)]
    assert len(set(picked)) == 50
    assert all(LOWEST <= port <= HIGHEST for port in picked)


async def test_a_threads_answer_and_its_error() -> None:
    assert await run_on_own_thread(lambda: 7) == 7

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await run_on_own_thread(fail)


async def test_a_thread_that_is_left_behind_holds_up_nobody() -> None:
    release, before = threading.Event(), set(threading.enumerate())
    task = asyncio.create_task(run_on_own_thread(release.wait))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [thread.daemon for thread in set(threading.enumerate()) - before] == [True]
    release.set()
