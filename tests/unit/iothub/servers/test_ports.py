"""Ports: the usual one where it is free, another or a sentence where it is not, and never one twice."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from iothub.errors import StartFailed
from iothub.servers.ports import HIGHEST, LOOPBACK, LOWEST, choose_port, free_port, is_open


@pytest.fixture
def taken() -> Iterator[int]:
    port = free_port()
    with socket.create_server((LOOPBACK, port)):
        yield port


def test_the_preferred_port_is_taken_where_it_is_free() -> None:
    port = free_port()
    assert choose_port(port, fallback=False) == port


def test_a_port_that_is_asked_for_and_taken_is_an_error_with_the_way_out(taken: int) -> None:
    with pytest.raises(StartFailed) as caught:
        choose_port(taken, fallback=False, option="--mqtt-port")
    assert str(caught.value) == (
        f"port {taken} is taken by another program; free it, or choose another with --mqtt-port"
    )


def test_a_usual_port_that_is_taken_gives_way_to_a_free_one(taken: int) -> None:
    port = choose_port(taken, fallback=True)
    assert port != taken
    assert LOWEST <= port <= HIGHEST
    assert not is_open(port)


def test_a_port_that_a_server_on_all_addresses_has_is_taken() -> None:
    port = free_port()
    with socket.create_server(("0.0.0.0", port)), pytest.raises(StartFailed):
        choose_port(port, fallback=False)


def test_a_port_with_fading_connections_counts_as_free() -> None:
    port = free_port()
    with socket.create_server((LOOPBACK, port)) as server, socket.create_connection((LOOPBACK, port)) as client:
        accepted, _ = server.accept()
        accepted.close()  # whoever closes first keeps the connection in TIME_WAIT
        client.recv(1)
    assert choose_port(port, fallback=False) == port


def test_the_kernel_gives_free_ports_to_no_client() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        assert int(file.read().split()[0]) > HIGHEST


def test_free_ports_are_never_the_same() -> None:
    assert len({free_port() for _ in range(50)}) == 50


def test_two_processes_that_start_at_once_don_t_get_the_same_port() -> None:
    """Given a process that has chosen a port and not yet listened, then another gets a different one."""
    port = free_port()
    chooses = f"from iothub.servers.ports import choose_port; print(choose_port({port}, fallback=True), flush=True)"
    got = subprocess.run([sys.executable, "-c", chooses], capture_output=True, text=True, check=True, timeout=30)
    assert int(got.stdout) != port
    alone = free_port_of_another_process()
    assert choose_port(alone, fallback=False) == alone  # its holder has ended


def free_port_of_another_process() -> int:
    chooses = "from iothub.servers.ports import free_port; print(free_port())"
    done = subprocess.run([sys.executable, "-c", chooses], capture_output=True, text=True, check=True, timeout=30)
    return int(done.stdout)
