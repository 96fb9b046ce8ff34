"""What ingestion says to the broker, in MQTT 5 and in 3.1.1.

3.1.1 has no words for some of it: its session never expires, and neither does the mark; a subscription is sent the
retained messages each time that it is made; there are no shared ones.
"""

from __future__ import annotations

from paho.mqtt.client import Client, MQTTMessageInfo, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ingestion import paho_strings
from ingestion.protocol import MQTT_5
from ingestion.settings import MqttSettings
from telemetry.errors import ConfigurationError


def make_client(settings: MqttSettings, version: int) -> Client:
    """Return a client that speaks ``version`` and acknowledges only by hand. Raises ConfigurationError."""
    if version != MQTT_5 and settings.share_group is not None:
        raise ConfigurationError(
            "MQTT_SHARE_GROUP is set, and the broker speaks only MQTT 3.1.1, which has no shared subscriptions: "
            "run one replica without it, or take a broker that speaks MQTT 5"
        )
    paho_strings.install()
    client = Client(
        CallbackAPIVersion.VERSION2,
        settings.client_id,
        clean_session=None if version == MQTT_5 else False,
        protocol=MQTTProtocolVersion(version),
        manual_ack=True,
    )
    if settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else None
        client.username_pw_set(settings.username, password)
    if settings.tls_ca is not None:
        try:
            client.tls_set(ca_certs=settings.tls_ca)
        except OSError as error:
            raise ConfigurationError(f"MQTT_TLS_CA: can't read {settings.tls_ca}: {error}") from error
    client.reconnect_delay_set(1, 30)
    return client


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
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
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
