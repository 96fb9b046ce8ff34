"""Connection settings that every Kafka client of ours shares, and the one place where they become librdkafka's."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from telemetry.errors import ConfigurationError

PropertyValue = str | int | float | bool


class KafkaConfig(BaseSettings):
    """How to reach Kafka (``KAFKA_*``). Keyword arguments override the environment."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    bootstrap_servers: str = Field(default="localhost:9092", min_length=1)
    """Brokers to ask first, ``host:port``, comma-separated."""
    client_id: str = "iot-hub"
    """Name of this client in the broker's logs, metrics and quotas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether the connection is encrypted and authenticated."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How a SASL connection authenticates."""
    sasl_username: str | None = None
    """User of a SASL connection."""
    sasl_password: SecretStr | None = None
    """Password of a SASL connection."""
    ssl_ca_location: str | None = None
    """Path of the certificates that the broker's is checked against; left out, the system's own."""
    ssl_certificate_location: str | None = None
    """Path of the client's certificate, for mutual TLS."""
    ssl_key_location: str | None = None
    """Path of the client's private key, for mutual TLS."""
    properties: dict[str, PropertyValue] = Field(default_factory=dict, repr=False)
    """Further librdkafka properties, a JSON object; they win over ours, and may hold secrets."""

    @field_validator("properties", mode="before")
    @classmethod
    def _properties_are_flat(cls, value: object) -> object:
        if not isinstance(value, dict):
            raise ValueError("must be a JSON object of librdkafka's properties")  # noqa: TRY004  # pydantic's protocol
        for name, setting in value.items():
            if not isinstance(setting, str | int | float | bool):
                raise ValueError(f"{name!r} must be a string, a number or a boolean")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> KafkaConfig:
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
        }
        ours = {name: value for name, value in named.items() if value is not None}
        return ours | self._own_properties() | self.properties

    def _own_properties(self) -> dict[str, PropertyValue]:
        """Return what a kind of client adds; subclasses say."""
        return {}


def explain_refusal(config: KafkaConfig, refusal: str) -> ConfigurationError:
    """Return the error for a client that librdkafka refused to make, naming the variable that is to blame.

    librdkafka names its property; that is ours to translate, unless it came through KAFKA_PROPERTIES.
    """
    for field in type(config).model_fields:
        name = field.replace("_", ".")
        if name in refusal and name not in config.properties:
            return ConfigurationError(f"KAFKA_{field}: {refusal}".replace(field, field.upper(), 1))
    return ConfigurationError(f"KAFKA_PROPERTIES: {refusal}")


def find_unknown_variables(known: type[KafkaConfig], *others: type[KafkaConfig]) -> list[str]:
    """Return the ``KAFKA_*`` variables of the environment that are no setting of ours.

    They only deserve a warning: a Service called ``kafka`` puts ``KAFKA_PORT`` into every pod beside it.
    """
    names = {f"KAFKA_{field}".upper() for cls in (known, *others) for field in cls.model_fields}
    return sorted(name for name in os.environ if name.startswith("KAFKA_") and name not in names)
