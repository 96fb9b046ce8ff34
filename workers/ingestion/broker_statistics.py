"""How many messages the broker holds, as it says itself: what waits for ingestion can't be seen in another way.

A connection of its own, with no session, so that nothing of it mixes with telemetry. Where it fails, the metric is
absent (NaN), and nothing else happens.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingestion import mqtt_client
from ingestion.mqtt_metrics import STORED_MESSAGES
from ingestion.settings import MqttSettings

_UNKNOWN = float("nan")


class BrokerStatistics:
    """Keeps the metric up to date between `start` and `stop`; does nothing where no topic is named."""

    def __init__(self, settings: MqttSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost. Raises ConfigurationError for TLS's files."""
        # The replicas have one broker: it is enough that one of them asks.
        if self._settings.stored_topic is None or self._settings.ordinal > 0:
            return
        STORED_MESSAGES.set(_UNKNOWN)
        # 3.1.1 will do, and every broker speaks it.
        client = Client(
            CallbackAPIVersion.VERSION2,
            f"{self._settings.client_id}-statistics",
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            transport=self._settings.transport,
        )
        mqtt_client.set_up_connection(client, self._settings)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.connect_async(self._settings.host, self._settings.port, self._settings.keepalive_seconds)
        client.loop_start()
        self._client = client

    def stop(self) -> None:
        """Leave the broker."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if not reason.is_failure and self._settings.stored_topic is not None:
            client.subscribe(self._settings.stored_topic, qos=0)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        with suppress(ValueError):  # what is no number says nothing
            STORED_MESSAGES.set(float(message.payload))

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        STORED_MESSAGES.set(_UNKNOWN)
