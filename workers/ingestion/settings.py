"""Ingestion's settings: where messages go, and how the MQTT side reaches its broker."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ingestion.protocol import Protocol
from ingestion.topic_filters import check_filter, compile_filter
from telemetry.names import TOPIC_DLQ, TOPIC_RAW, TopicName
from telemetry.settings import split_commas

_WEEK = 7 * 24 * 3600
_MIB = 1024 * 1024
_ORDINAL = re.compile(r"-([0-9]+)$")


class IngestionSettings(BaseSettings):
    """Where messages go (``INGESTION_*``)."""

    model_config = SettingsConfigDict(
        env_prefix="INGESTION_", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    topic: TopicName = TOPIC_RAW
    """Topic for what comes in, as it came."""
    dlq_topic: TopicName = TOPIC_DLQ
    """Topic for what is too large for the other."""


class MqttSettings(BaseSettings):
    """How to reach the MQTT broker and what to ask it for (``MQTT_*``)."""

    model_config = SettingsConfigDict(
        env_prefix="MQTT_", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    host: str = "localhost"
    """Name or address of the broker."""
    port: int = Field(default=1883, ge=1, le=65_535)
    """Port of the broker."""
    username: str | None = None
    """User at the broker; without one the connection is anonymous."""
    password: SecretStr | None = None
    """The user's password."""
    transport: Literal["tcp", "websockets"] = "tcp"
    """What carries MQTT to the broker."""
    websocket_path: str = Field(default="/mqtt", pattern=r"^/")
    """Path of the broker's websocket."""
    tls: bool = False
    """Whether the connection is encrypted; any of the three below turns it on too."""
    tls_ca: str | None = None
    """Path of the certificates that the broker's is checked against, read again at each connection; left out, the
    system's own."""
    tls_cert: str | None = None
    """Path of the client's certificate, for mutual TLS; read again at each connection."""
    tls_key: str | None = None
    """Path of the client's private key, where it does not lie beside the certificate in one file."""
    protocol: Protocol = "auto"
    """Version of MQTT: ``5``, ``3.1.1``, or ``auto``, which is 5 unless the broker refuses it. A broker that does not
    answer a CONNECT of MQTT 5 at all has to be named ``3.1.1``."""
    client_id: str = Field(default="iot-hub-ingestion", min_length=1, max_length=128)
    """Names the session at the broker, so it must stay the same over restarts: the pod's name in a StatefulSet."""
    topics: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)] = ("telemetry/+",)
    """Topic filters to subscribe to: comma-separated in the environment."""
    device_template: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)] = ("telemetry/{device}",)
    """Where in a topic the device's id stands: ``{device}`` is one level, ``+`` and ``#`` are as in a filter. Of
    several, comma-separated, the first that fits counts; where none does, the payload's ``device`` is the key."""
    share_group: str | None = Field(default=None, pattern=r"^[^/+#]+$")
    """Name of a shared subscription, for more than one replica."""
    receive_maximum: int = Field(default=1000, ge=1, le=65_535)
    """Most messages that the broker sends before the first of them is acknowledged."""
    max_in_flight_bytes: int = Field(default=64 * _MIB, ge=_MIB)
    """Most bytes of payloads that wait for Kafka. Beyond, nothing is read; after some time it is left to the broker."""
    retained: Literal["mark", "skip"] = "mark"
    """What becomes of messages that the broker kept from before the subscription: they get the header
    ``mqtt_retained``, or are left out."""
    max_user_properties: int = Field(default=16, ge=0, le=100)
    """Most user properties of a message that become headers; the first ones do."""
    max_user_property_bytes: int = Field(default=4096, ge=0, le=32_768)
    """Most bytes of their names and values together."""
    session_expiry_seconds: int = Field(default=_WEEK, ge=60, le=4_294_967_294)
    """How long, in seconds, the broker keeps the session, and what comes in for it, while nobody is connected."""
    keepalive_seconds: int = Field(default=30, ge=5, le=65_535)
    """How long, in seconds, a silent connection may be before the broker takes it for dead."""
    ready_topic: str = Field(default="iot-hub/ingestion/ready", min_length=1)
    """Topic of the retained mark that says: the session exists, so devices may publish."""

    stored_topic: str | None = Field(default=None, pattern=r"^[^+#]+$")
    """Topic in which the broker says how many messages it holds; left out, it is not asked. Mosquitto's is
    ``$SYS/broker/store/messages/count``."""

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("give at least one topic filter, for example telemetry/+")
        for topic_filter in value:
            check_filter(topic_filter)
        return value

    @field_validator("device_template")
    @classmethod
    def _check_templates(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for template in value:
            if template.split("/").count("{device}") != 1 or template.count("{") != 1:
                raise ValueError("one level of each template must be {device}, for example telemetry/{device}")
            check_filter(template)
        return value

    @model_validator(mode="after")
    def _mark_is_no_telemetry(self) -> MqttSettings:
        mark = self.ready_topic
        if "+" in mark or "#" in mark:
            raise ValueError(f"MQTT_READY_TOPIC is {mark!r}: it must be one topic, without wildcards")
        for topic_filter in self.topics:
            if compile_filter(topic_filter).fullmatch(mark):
                raise ValueError(
                    f"MQTT_READY_TOPIC {mark!r} matches {topic_filter!r} of MQTT_TOPICS: the mark would be ingested"
                )
        return self

    @model_validator(mode="after")
    def _password_has_user(self) -> MqttSettings:
        if self.password is not None and self.username is None:
            raise ValueError("MQTT_PASSWORD is set, MQTT_USERNAME is not: set both or none")
        return self

    @model_validator(mode="after")
    def _key_has_certificate(self) -> MqttSettings:
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("MQTT_TLS_KEY is set, MQTT_TLS_CERT is not: set both, or none")
        return self

    @model_validator(mode="after")
    def _protocol_can_share(self) -> MqttSettings:
        if self.protocol == "3.1.1" and self.share_group is not None:
            raise ValueError(
                "MQTT_SHARE_GROUP is set, and MQTT_PROTOCOL is 3.1.1, which has no shared subscriptions: leave one out"
            )
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls or self.tls_ca is not None or self.tls_cert is not None

    @property
    def filters(self) -> tuple[str, ...]:
        """The filters as the broker gets them, shared where a group is named."""
        if self.share_group is None:
            return self.topics
        return tuple(f"$share/{self.share_group}/{topic_filter}" for topic_filter in self.topics)

    @property
    def ordinal(self) -> int:
        """The replica's number, from the end of the client id (``…-2``); 0 where there is none."""
        found = _ORDINAL.search(self.client_id)
        return int(found[1]) if found else 0
