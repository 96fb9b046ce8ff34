"""What the broker says of itself in its CONNACK (MQTT 5 §3.2.2.3), and which of it ingestion can't live with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ingestion.settings import MqttSettings

_WILDCARDS = frozenset("+#")


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The broker's limits; the defaults are those that the standard gives to what is not said."""

    receive_maximum: int = 65_535
    """Messages that it takes before it has acknowledged the first."""
    maximum_qos: int = 2
    """Highest quality of service that it offers."""
    maximum_packet_size: int = 268_435_460
    """Largest packet that it takes, in bytes; the standard has none larger."""
    session_expiry_seconds: int = 0
    """How long, in seconds, it keeps the session."""
    keepalive_seconds: int = 0
    """How long, in seconds, it lets a connection be silent."""
    retain_available: bool = True
    wildcards_available: bool = True
    shared_subscriptions_available: bool = True

    def as_numbers(self) -> dict[str, int]:
        """Return each limit by its name, for a log and a metric."""
        return {field.name: int(getattr(self, field.name)) for field in fields(self)}


def read_limits(properties: Mapping[str, Any], settings: MqttSettings) -> BrokerLimits:
    """Return the limits in a CONNACK's ``properties``, named as the standard has them; what we asked for where none."""
    defaults = BrokerLimits()
    return BrokerLimits(
        receive_maximum=properties.get("ReceiveMaximum", defaults.receive_maximum),
        maximum_qos=properties.get("MaximumQoS", defaults.maximum_qos),
        maximum_packet_size=properties.get("MaximumPacketSize", defaults.maximum_packet_size),
        session_expiry_seconds=properties.get("SessionExpiryInterval", settings.session_expiry_seconds),
        keepalive_seconds=properties.get("ServerKeepAlive", settings.keepalive_seconds),
        retain_available=bool(properties.get("RetainAvailable", 1)),
        wildcards_available=bool(properties.get("WildcardSubscriptionAvailable", 1)),
        shared_subscriptions_available=bool(properties.get("SharedSubscriptionAvailable", 1)),
    )


def find_problem(limits: BrokerLimits, settings: MqttSettings) -> str | None:
    """Return why this broker can't serve ``settings`` without loss, as a sentence that says what to do, or None."""
    if limits.maximum_qos < 1:
        return "the broker offers only QoS 0, which promises nothing: allow QoS 1 there"
    if settings.share_group is not None and not limits.shared_subscriptions_available:
        return "the broker has no shared subscriptions: run one replica, without MQTT_SHARE_GROUP"
    if not limits.wildcards_available and any(_WILDCARDS & set(topic_filter) for topic_filter in settings.topics):
        return "the broker takes no wildcards: name each topic in MQTT_TOPICS"
    return None


def find_warnings(limits: BrokerLimits, settings: MqttSettings) -> list[str]:
    """Return what is less than was asked for, and does not stop ingestion."""
    found = []
    if limits.session_expiry_seconds < settings.session_expiry_seconds:
        found.append(
            f"the broker keeps the session for {limits.session_expiry_seconds} s, not for "
            f"{settings.session_expiry_seconds} s (MQTT_SESSION_EXPIRY_SECONDS): what comes in while ingestion is away "
            "for longer is lost"
        )
    if not limits.retain_available:
        found.append("the broker retains nothing: nobody can tell from MQTT_READY_TOPIC that devices may publish")
    return found
