"""The proxy does what it says, between a client and a server that sends back what it gets."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.ports import free_port
from support.proxy import Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_it_passes_on_both_ways_and_hands_on_the_end() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"hello"


def test_a_cut_resets() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert proxy.connections == proxy.cut() == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        wait_until(lambda: proxy.connections == 0)
        with connect(proxy) as another:
            another.sendall(b"again")
            assert another.recv(5) == b"again"


def test_a_balancer_with_nobody_behind_it() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        proxy.hang_up("x.")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionResetError), connect(proxy) as another:
            another.recv(1)
        assert proxy.plan == "."
        with connect(proxy) as back:
            back.sendall(b"again")
            assert back.recv(5) == b"again"


def test_a_silence_keeps_connections_and_what_was_said() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        proxy.silence()
        client.sendall(b"later")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.speak()
        client.settimeout(10)
        assert client.recv(5) == b"later"


def test_a_slow_way_takes_its_time() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        proxy.bytes_per_second = 100_000
        began = time.monotonic()
        client.sendall(bytes(50_000))
        client.shutdown(socket.SHUT_WR)
        assert len(read_to_end(client)) == 50_000
        assert time.monotonic() - began >= 0.4


def test_where_nobody_listens_a_client_is_reset() -> None:
    with Proxy(free_port()) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
        client.recv(1)


def test_a_late_answer_is_late_and_later_ones_wait_beside_it() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        proxy.delay = (0.3, 0.4)
        began = time.monotonic()
        for digit in b"0123456789":
            client.sendall(bytes([digit]))
            time.sleep(0.02)  # so that each is a piece of its own
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b"0123456789"
        assert 0.3 <= time.monotonic() - began <= 2


def test_a_stranded_connection_stands_for_ever_and_new_ones_are_well() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        assert proxy.strand() == 1
        client.sendall(b"lost")
        with connect(proxy) as another:
            another.sendall(b"well")
            assert another.recv(4) == b"well"
        proxy.silence()
        proxy.speak()
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_one_that_refuses_is_not_there_and_comes_back_on_its_port() -> None:
    with echo_server() as port, Proxy(port) as proxy, connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError), connect(proxy):
            pass
        proxy.listen()
        with connect(proxy) as back:
            back.sendall(b"again")
            assert back.recv(5) == b"again"


@contextmanager
def echo_server() -> Iterator[int]:
    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except ConnectionError:
                pass

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def connect(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        yield client


def read_to_end(client: socket.socket) -> bytes:
    data = b""
    while some := client.recv(65536):
        data += some
    return data
