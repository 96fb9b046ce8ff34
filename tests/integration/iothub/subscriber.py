"""A client that notes what the broker hands out, over a session that survives its reconnects and the broker's.

It never acknowledges: paho would drop what it has received and not read yet, once an acknowledgement can't be written.
"""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support.waiting import wait_until
from telemetry.headers import derive_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto


class Subscriber:
    """What has come so far: ids as ingestion would derive them, with the payloads in order of arrival."""

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()
        self.payloads: list[tuple[str, bytes]] = []
        self.subscribed = False

    def take(self, topic: str, payload: bytes) -> None:
        self.ids[derive_id(topic, payload)] += 1
        self.payloads.append((topic, payload))


@contextmanager
def subscribing(broker: Mosquitto) -> Iterator[Subscriber]:
    """Yield a subscriber of ``telemetry/+`` at QoS 1 whose session exists."""
    subscriber = Subscriber()
    client = Client(CallbackAPIVersion.VERSION2, f"test-{uuid.uuid4().hex}", protocol=MQTTv5, manual_ack=True)
    client.reconnect_delay_set(1, 1)

    def on_connect(*_: Any) -> None:
        client.subscribe("telemetry/+", qos=1)

    def on_subscribe(*_: Any) -> None:
        subscriber.subscribed = True

    client.on_connect = on_connect
    client.on_subscribe = on_subscribe
    client.on_message = lambda _client, _userdata, message: subscriber.take(message.topic, bytes(message.payload))
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    client.connect(broker.host, broker.port, clean_start=False, properties=properties)
    client.loop_start()
    try:
        wait_until(lambda: subscriber.subscribed, what="the subscription")
        yield subscriber
    finally:
        client.disconnect()
        client.loop_stop()
