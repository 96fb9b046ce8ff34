"""How the operator reaches Kafka: the workers' ``KAFKA_*`` variables, in its own environment. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from telemetry_operator.errors import SettingsError

PropertyValue = str | int | float | bool

_CONNECT_TIMEOUT_MS = 5_000
_SOCKET_TIMEOUT_MS = 10_000
_RECONNECT_MAX_MS = 2_000


class KafkaSettings(BaseModel):
    """Connection of the operator's Kafka client. Each field's alias is its variable."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    bootstrap_servers: str = Field(alias="KAFKA_BOOTSTRAP_SERVERS", min_length=1, pattern=r"^\S+$")
    """Brokers to ask first, ``host:port``, comma-separated."""
    client_id: str = Field(default="iot-hub-operator", alias="KAFKA_CLIENT_ID", min_length=1)
    """Name of this client in the broker's logs, metrics and quotas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", alias="KAFKA_SECURITY_PROTOCOL"
    )
    """Whether the connection is encrypted and authenticated."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        default=None, alias="KAFKA_SASL_MECHANISM"
    )
    """How a SASL connection authenticates."""
    sasl_username: str | None = Field(default=None, alias="KAFKA_SASL_USERNAME")
    """User of a SASL connection."""
    sasl_password: SecretStr | None = Field(default=None, alias="KAFKA_SASL_PASSWORD")
    """Password of a SASL connection."""
    ssl_ca_location: str | None = Field(default=None, alias="KAFKA_SSL_CA_LOCATION")
    """Path of the certificates that the broker's is checked against; left out, the system's own."""
    ssl_certificate_location: str | None = Field(default=None, alias="KAFKA_SSL_CERTIFICATE_LOCATION")
    """Path of the client's certificate, for mutual TLS."""
    ssl_key_location: str | None = Field(default=None, alias="KAFKA_SSL_KEY_LOCATION")
    """Path of the client's private key, for mutual TLS."""
    properties: dict[str, PropertyValue] = Field(default_factory=dict, alias="KAFKA_PROPERTIES", repr=False)
    """Further librdkafka properties, a JSON object; they win over ours, and may hold secrets."""

    @field_validator("properties", mode="before")
    @classmethod
    def _is_flat_json(cls, value: object) -> object:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        if not isinstance(value, dict):
            raise ValueError("must be a JSON object of librdkafka's properties")  # noqa: TRY004  # pydantic's protocol
        for name, setting in value.items():
            if not isinstance(setting, str | int | float | bool):
                raise ValueError(f"{name!r} must be a string, a number or a boolean")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> KafkaSettings:
        given = (self.sasl_mechanism, self.sasl_username, self.sasl_password)
        if self.security_protocol.startswith("SASL_") and None in given:
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL is {self.security_protocol}: it needs KAFKA_SASL_MECHANISM, "
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
        return self

    def to_librdkafka(self) -> dict[str, Any]:
        """Return librdkafka's properties, secrets in clear: for a client's constructor and nothing else."""
        named: dict[str, PropertyValue | None] = {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.client_id,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password.get_secret_value() if self.sasl_password else None,
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
            "socket.connection.setup.timeout.ms": _CONNECT_TIMEOUT_MS,
            "socket.timeout.ms": _SOCKET_TIMEOUT_MS,
            # A Kafka that is back is found within seconds.
            "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        }
        return {name: value for name, value in named.items() if value is not None} | self.properties


def load_kafka_settings(environment: Mapping[str, str]) -> KafkaSettings:
    """Return the settings that ``environment`` holds; an empty variable counts as not set.

    Raises SettingsError that names each variable that can't work, and shows no value: it may be a secret.
    """
    known = {str(field.alias) for field in KafkaSettings.model_fields.values()}
    given = {name: value for name, value in environment.items() if name in known and value != ""}
    try:
        return KafkaSettings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(problem) for problem in error.errors())) from None


def _describe(problem: Any) -> str:
    sentence = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return sentence
    name = str(problem["loc"][0])
    if problem["type"] == "missing":
        return f"{name}: is required and not set"
    if problem["type"] == "string_pattern_mismatch":
        return f"{name}: must hold no blanks"
    return f"{name}: {sentence}"
