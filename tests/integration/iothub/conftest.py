"""Fixtures of the tests of `iothub`'s commands with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.iothub.hub_process import HubProcess, Up
from integration.iothub.servers_running import running
from iothub.servers.mock_kafka import prepare_mock, read_bootstrap


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Start hubs of this test's own; what still runs at its end is ended."""
    started: list[HubProcess] = []

    def start(*arguments: str, name: str = "test") -> HubProcess:
        started.append(HubProcess(tmp_path / "state", *arguments, name=name))
        return started[-1]

    yield start
    for hub in started:
        hub.close()


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[str]:
    """librdkafka's mock cluster as the hub runs it: its address."""
    server = prepare_mock(tmp_path / "mock")
    with running(server.program, tmp_path / "mock.log"):
        yield read_bootstrap(tmp_path / "mock")
