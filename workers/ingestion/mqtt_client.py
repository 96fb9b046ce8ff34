"""What ingestion says to the broker, in MQTT 5 and in 3.1.1.

3.1.1 has no words for some of it: its session never expires, and neither does the mark; a subscription is sent the
retained messages each time that it is made; there are no shared ones.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable

import paho.mqtt
import structlog
from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingestion.buffered_socket import BufferedSocket
from ingestion.protocol import MQTT_5
from ingestion.publish_packets import Publish
from ingestion.settings import MqttSettings
from telemetry.errors import ConfigurationError

log = structlog.get_logger(__name__)


class IngestionClient(Client):
    """paho's client, with a `BufferedSocket` in place of each connection's socket: ``take`` gets the telemetry."""

    def __init__(self, settings: MqttSettings, version: int, take: Callable[[list[Publish]], None]) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=None if version == MQTT_5 else False,
            protocol=MQTTProtocolVersion(version),
            transport=settings.transport,
            manual_ack=True,
        )
        self._version = version
        self._take = take
        self.connection: BufferedSocket | None = None
        """The present connection, or the last one."""
        self.failure = ""
        """Why the last attempt to connect has failed: paho tells only that it has."""
        self.has_ended = False
        """Whether its thread, once started, neither reads any more nor tries to come back."""

    def loop_start(self) -> MQTTErrorCode:
        """Start the thread that reads."""
        self.has_ended = False
        return super().loop_start()

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Read, and come back, until told otherwise: what the thread does."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        finally:
            self.has_ended = True

    def add_puback(self, mid: int) -> None:
        """Add an acknowledgement to what `flush` sends."""
        if self.connection is not None:
            self.connection.add_puback(mid)

    def flush(self) -> None:
        """Send the acknowledgements that were added."""
        if self.connection is not None:
            self.connection.flush()

    def _create_socket(self) -> BufferedSocket:
        try:
            inner = super()._create_socket()
        except OSError as error:
            self.failure = error.strerror or str(error) or type(error).__name__
            raise
        # PUBACKs are collected here already: the kernel would only hold them back until the next message comes. What is
        # set on a duplicate counts for the connection, also within TLS or a websocket.
        with socket.socket(fileno=os.dup(inner.fileno())) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = BufferedSocket(inner, self._version, self._take)
        return self.connection


def make_client(settings: MqttSettings, version: int, take: Callable[[list[Publish]], None]) -> IngestionClient:
    """Return a client that speaks ``version`` and acknowledges only by hand. Raises ConfigurationError."""
    if version != MQTT_5 and settings.share_group is not None:
        raise ConfigurationError(
            "MQTT_SHARE_GROUP is set, and the broker speaks only MQTT 3.1.1, which has no shared subscriptions: "
            "run one replica without it, or take a broker that speaks MQTT 5"
        )
    _check_paho()
    client = IngestionClient(settings, version, take)
    set_up_connection(client, settings)
    return client


def set_up_connection(client: Client, settings: MqttSettings) -> None:
    """Say how ``client`` reaches the broker, and as whom. Raises ConfigurationError that names the file at fault."""
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else None
        client.username_pw_set(settings.username, password)
    if settings.transport == "websockets":
        client.ws_set_options(settings.websocket_path)
    if settings.uses_tls:
        context = make_tls_context(settings)
        client.tls_set_context(context)
        client.on_pre_connect = lambda *_: _renew_certificates(context, settings)
    client.reconnect_delay_set(1, 30)


def make_tls_context(settings: MqttSettings) -> ssl.SSLContext:
    """Return what the connection is encrypted with. Raises ConfigurationError that names the file at fault."""
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:
        raise ConfigurationError(f"MQTT_TLS_CA: can't read {settings.tls_ca}: {error}") from error
    # Python 3.13 asks more of an authority's certificate than OpenSSL, librdkafka and mosquitto do: a key usage, which
    # `openssl req -x509` leaves out.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        _load_certificate(context, settings)
    except OSError as error:
        name = "MQTT_TLS_CERT" if settings.tls_key is None else "MQTT_TLS_CERT, MQTT_TLS_KEY"
        files = ", ".join(filter(None, (settings.tls_cert, settings.tls_key)))
        raise ConfigurationError(f"{name}: can't use {files}: {error}") from error
    return context


def start_connecting(client: Client, settings: MqttSettings) -> None:
    """Have paho's thread connect to the session, and connect again whenever the connection is lost."""
    if client.protocol == MQTTv5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = settings.session_expiry_seconds
        properties.ReceiveMaximum = settings.receive_maximum
        client.connect_async(
            settings.host, settings.port, settings.keepalive_seconds, clean_start=False, properties=properties
        )
    else:
        client.connect_async(settings.host, settings.port, settings.keepalive_seconds)
    client.loop_start()


def subscribe(client: Client, settings: MqttSettings) -> None:
    """Ask for the telemetry. The session may have the subscription already."""
    if client.protocol == MQTTv5:
        keeps = settings.retained == "mark"
        handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if keeps else SubscribeOptions.RETAIN_DO_NOT_SEND
        options = SubscribeOptions(qos=1, retainHandling=handling)
        client.subscribe([(topic_filter, options) for topic_filter in settings.filters])
    else:
        client.subscribe([(topic_filter, 1) for topic_filter in settings.filters])


def publish_mark(client: Client, settings: MqttSettings) -> MQTTMessageInfo:
    """Say, retained, that the session exists; in MQTT 5 for no longer than the session can last by itself."""
    properties = None
    if client.protocol == MQTTv5:
        properties = Properties(PacketTypes.PUBLISH)
        properties.MessageExpiryInterval = settings.session_expiry_seconds
    return client.publish(settings.ready_topic, settings.client_id, qos=1, retain=True, properties=properties)


def disconnect(client: Client, *, ends_session: bool) -> None:
    """Leave the broker, with the session or without it."""
    properties = None
    if ends_session and client.protocol == MQTTv5:
        properties = Properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = 0
    client.disconnect(properties=properties)


def _check_paho() -> None:
    """Look for the one thing of paho's inside that we stand on. Raises ConfigurationError.

    Were `Client._create_socket` gone, ours would never be called, and telemetry would go to paho itself and nowhere
    behind that. For the same reason paho never acknowledges by itself: what came that way would come again.
    """
    if not callable(getattr(Client, "_create_socket", None)):
        raise ConfigurationError(
            f"paho-mqtt {paho.mqtt.__version__} makes its connections in another way than ingestion knows: install a "
            "version that the hub is tested with, 2.1 or 2.2"
        )


def _load_certificate(context: ssl.SSLContext, settings: MqttSettings) -> None:
    if settings.tls_cert is not None:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")


def _renew_certificates(context: ssl.SSLContext, settings: MqttSettings) -> None:
    """Read the files again: short-lived certificates, and authorities too, are replaced while the process runs."""
    try:
        _load_certificate(context, settings)
        if settings.tls_ca is not None:
            context.load_verify_locations(settings.tls_ca)
    except OSError as error:
        log.warning("certificates not read, those from before are used", why=str(error))
