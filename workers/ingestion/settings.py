"""Ingestion's settings: where messages go, and how the MQTT side reaches its broker."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ingestion.protocol import Protocol
from ingestion.topic_filters import check_filter, compile_filter
from telemetry.names import TOPIC_DLQ, TOPIC_RAW, TopicName
from telemetry.settings import split_commas

_WEEK = 7 * 24 * 3600
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
    tls_ca: str | None = None
    """Path of the certificates that the broker's is checked against; setting it turns TLS on."""
    protocol: Protocol = "auto"
    """Version of MQTT: ``5``, ``3.1.1``, or ``auto``, which is 5 unless the broker refuses it. A broker that does not
    answer a CONNECT of MQTT 5 at all has to be named ``3.1.1``."""
    client_id: str = Field(default="iot-hub-ingestion", min_length=1, max_length=128)
    """Names the session at the broker, so it must stay the same over restarts: the pod's name in a StatefulSet."""
    topics: Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_commas)] = ("telemetry/+",)
    """Topic filters to subscribe to: comma-separated in the environment."""
    device_template: str = "telemetry/{device}"
    """Where in a topic the device's id stands: ``{device}`` is one level, ``+`` and ``#`` are as in a filter."""
    share_group: str | None = Field(default=None, pattern=r"^[^/+#]+$")
    """Name of a shared subscription, for more than one replica."""
    receive_maximum: int = Field(default=1000, ge=1, le=65_535)
    """Most messages that the broker sends before the first of them is acknowledged."""
    session_expiry_seconds: int = Field(default=_WEEK, ge=60, le=4_294_967_294)
    """How long, in seconds, the broker keeps the session, and what comes in for it, while nobody is connected."""
    keepalive_seconds: int = Field(default=30, ge=5, le=65_535)
    """How long, in seconds, a silent connection may be before the broker takes it for dead."""
    ready_topic: str = Field(default="iot-hub/ingestion/ready", min_length=1)
    """Topic of the retained mark that says: the session exists, so devices may publish."""

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
    def _check_template(cls, value: str) -> str:
        if value.split("/").count("{device}") != 1 or value.count("{") != 1:
            raise ValueError("one level of the template must be {device}, for example telemetry/{device}")
        check_filter(value)
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
    def _protocol_can_share(self) -> MqttSettings:
        if self.protocol == "3.1.1" and self.share_group is not None:
            raise ValueError(
                "MQTT_SHARE_GROUP is set, and MQTT_PROTOCOL is 3.1.1, which has no shared subscriptions: leave one out"
            )
        return self

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
