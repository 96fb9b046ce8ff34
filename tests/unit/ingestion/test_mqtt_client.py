"""Where ingestion reaches into paho: a paho that has changed there is refused, and none acknowledges by itself."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator

import pytest
from paho.mqtt.client import Client

from ingestion.buffered_socket import BufferedSocket
from ingestion.mqtt_client import IngestionClient, make_client, make_tls_context, start_connecting
from ingestion.protocol import MQTT_5
from ingestion.publish_packets import Publish
from ingestion.settings import MqttSettings
from support.waiting import wait_until
from telemetry.errors import ConfigurationError

CONNACK = b"\x20\x03\x00\x00\x00"
PUBLISH = b"\x32\x0a\x00\x01t\x00\x07\x00body"
"""Topic ``t``, QoS 1, packet id 7, no properties."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@pytest.fixture
def taken() -> list[Publish]:
    return []


@pytest.fixture
def settings(listener: socket.socket) -> MqttSettings:
    return MqttSettings(host="127.0.0.1", port=listener.getsockname()[1])


@pytest.fixture
def client(settings: MqttSettings, taken: list[Publish]) -> Iterator[IngestionClient]:
    client = make_client(settings, MQTT_5, taken.extend)
    start_connecting(client, settings)
    yield client
    client.disconnect()
    client.loop_stop()


def test_telemetry_goes_round_paho_and_is_acknowledged_by_hand_only(
    listener: socket.socket, client: IngestionClient, taken: list[Publish]
) -> None:
    broker, _ = listener.accept()
    with broker:
        broker.settimeout(10)
        assert broker.recv(1000)[:1] == b"\x10"  # CONNECT
        broker.sendall(CONNACK + PUBLISH)
        wait_until(lambda: [message.mid for message in taken] == [7])
        assert isinstance(client.connection, BufferedSocket)
        client.add_puback(7)
        client.flush()
        assert broker.recv(1000) == b"\x40\x02\x00\x07"


def test_acknowledgements_do_not_wait_for_more(listener: socket.socket, client: IngestionClient) -> None:
    broker, _ = listener.accept()
    with broker:
        wait_until(lambda: client.connection is not None)
        assert client.connection is not None
        with socket.socket(fileno=os.dup(client.connection.fileno())) as same:
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_paho_that_makes_its_connections_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Client, "_create_socket")
    with pytest.raises(ConfigurationError, match=r"^paho-mqtt [\d.]+ makes its connections in another way"):
        make_client(MqttSettings(), MQTT_5, lambda messages: None)


# paho makes a new pair of sockets for each thread and leaves the old one to be collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_thread_that_has_ended_is_seen_and_one_that_is_started_again_has_not(
    listener: socket.socket, client: IngestionClient, settings: MqttSettings
) -> None:
    broker, _ = listener.accept()
    seen = [client.has_ended]
    broker.close()
    client.disconnect()
    client.loop_stop()
    seen.append(client.has_ended)
    start_connecting(client, settings)
    again, _ = listener.accept()
    with again:
        assert [*seen, client.has_ended] == [False, True, False]


def test_an_authority_of_ones_own_need_not_be_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a Python that is strict by default, as 3.13 is, then we are not; names and signatures are still checked."""

    def make_strict(**given: str | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", make_strict)
    context = make_tls_context(MqttSettings(tls=True))
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
