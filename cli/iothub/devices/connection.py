"""A connection that sends for several devices, and the one over MQTT."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from iothub.devices.message import Message
from iothub.errors import Unavailable
from iothub.target import MqttTarget

_KEEPALIVE = 10
_ANSWER = 10.0
_UNSUPPORTED = "Unsupported protocol version"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_NOBODY_SUBSCRIBED = 0x10
_FIRST_REFUSAL = 0x80


class Connection(Protocol):
    """Comes back by itself where it breaks, and then sends again, the same bytes, what had no answer.

    ``publish`` and ``outstanding`` belong to one thread; answers come from another, through what it was made with.
    """

    outstanding: dict[int, Message]
    """Messages without an answer, by the number that it will have."""
    is_up: bool
    was_up: bool

    def open(self) -> None:
        """Connect, and wait for the other side's word. Raises Unavailable."""

    def open_later(self) -> None:
        """Connect in the background, for as long as it takes."""

    @property
    def has_room(self) -> bool:
        """Whether one more message may be sent now."""

    def publish(self, message: Message) -> None:
        """Send a message."""

    def close(self) -> None:
        """Leave. What is outstanding stays without an answer."""


class OldProtocol(Unavailable):
    """The broker does not speak MQTT 5."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The other side's answer to the message with the number ``mid``."""

    connection: Connection
    mid: int
    refusal: str | None = None
    """The code with which it was refused; None is a yes."""
    unheard: bool = False
    """Whether it was a yes by a broker to which nobody subscribes."""


@dataclass(eq=False)
class MqttConnection:
    """The one to an MQTT broker, at QoS 1. ``tell`` is called on paho's thread."""

    target: MqttTarget
    client_id: str
    tell: Callable[[Answer | None], None]
    window: int
    """Most messages without an answer; the broker's own Receive Maximum lowers it."""
    outstanding: dict[int, Message] = field(default_factory=dict, init=False)
    is_up: bool = field(default=False, init=False)
    was_up: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._refused: str | None = None
        self._answered = threading.Event()
        self._client = self._make_client()

    def open(self) -> None:
        """Connect, and wait for the broker's word. Raises Unavailable, OldProtocol where it wants MQTT 3.1.1."""
        place = f"{self.target.host}:{self.target.port}"
        try:
            self._client.connect(self.target.host, self.target.port, _KEEPALIVE)
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"no MQTT broker answers at {place} ({error}); start one with iothub up, or name another with "
                "--mqtt-host and --mqtt-port"
            ) from error
        self._client.loop_start()
        if not self._answered.wait(_ANSWER):
            self.close()
            raise Unavailable(f"what listens at {place} does not answer as an MQTT broker; check --mqtt-port")
        if self._refused is not None:
            self.close()
            if self._refused == _UNSUPPORTED and self.target.version == 5:
                raise OldProtocol(f"the MQTT broker at {place} does not speak MQTT 5")
            raise Unavailable(
                f"the MQTT broker at {place} refuses the connection: {self._refused}; name a user with "
                "--mqtt-username and its password in MQTT_PASSWORD"
            )

    def open_later(self) -> None:
        """Connect in the background, for as long as it takes."""
        self._client.connect_async(self.target.host, self.target.port, _KEEPALIVE)
        self._client.loop_start()

    @property
    def has_room(self) -> bool:
        """Whether one more message may be sent now."""
        return self.is_up and len(self.outstanding) < self.window

    def publish(self, message: Message) -> None:
        """Send a message at QoS 1. Where the connection breaks before its answer, it is sent again on the next."""
        while True:
            info = self._client.publish(message.topic, message.payload, qos=1)
            # Its packet id belongs to a message that has had no answer for 65,535 others: take the next.
            if info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                break
        self.outstanding[info.mid] = message

    def close(self) -> None:
        """Leave the broker. What is outstanding stays without an answer."""
        self._client.disconnect()
        self._client.loop_stop()

    def _make_client(self) -> Client:
        protocol = MQTTv5 if self.target.version == 5 else MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, self.client_id, protocol=protocol)
        if self.target.username is not None:
            password = self.target.password
            client.username_pw_set(self.target.username, password.get_secret_value() if password else None)
        client.max_inflight_messages_set(self.window)
        client.reconnect_delay_set(_FIRST_PAUSE, _LONGEST_PAUSE)  # type: ignore[arg-type]  # it takes fractions too
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    # --- paho's thread ---

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._refused = str(reason) if reason.is_failure else None
        if not reason.is_failure:
            self.window = min(self.window, getattr(properties, "ReceiveMaximum", self.window))
            # Only now: what is published earlier would overtake what is sent again.
            self.is_up = self.was_up = True
        self._answered.set()
        self.tell(None)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self.is_up = False
        self.tell(None)

    def _on_publish(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        # paho holds its own lock here: nothing may be waited for.
        refusal = f"0x{reason.value:02x}" if reason.value >= _FIRST_REFUSAL else None
        self.tell(Answer(self, mid, refusal, unheard=reason.value == _NOBODY_SUBSCRIBED))
