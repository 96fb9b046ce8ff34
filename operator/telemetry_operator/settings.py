"""The operator's settings, read once at start; the environment is passed in, so that a test can be one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from telemetry_operator.errors import SettingsError

_SHOWN_CHARACTERS = 80
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class Settings(BaseModel):
    """How the operator runs, and what it hands on to the workers. Each field's alias is its variable."""

    model_config = ConfigDict(frozen=True, populate_by_name=False)

    worker_image: str = Field(alias="OPERATOR_WORKER_IMAGE", min_length=1, pattern=r"^\S+$")
    """Image of the workers, unless a TelemetryConsumer names its own."""
    worker_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", alias="OPERATOR_WORKER_IMAGE_PULL_POLICY"
    )
    """When the kubelet pulls a worker's image."""
    worker_image_pull_secrets: tuple[str, ...] = Field(default=(), alias="OPERATOR_WORKER_IMAGE_PULL_SECRETS")
    """Secrets for pulling it, which must be in the TelemetryConsumer's namespace: comma-separated."""
    namespaces: tuple[str, ...] = Field(default=(), alias="OPERATOR_NAMESPACES")
    """Namespaces that are served: comma-separated; none named, the whole cluster."""
    resync_seconds: float = Field(default=30, alias="OPERATOR_RESYNC_SECONDS", ge=1, le=3600)
    """How often every TelemetryConsumer is gone through, whether something happened or not."""
    kafka_bootstrap_servers: str = Field(alias="KAFKA_BOOTSTRAP_SERVERS", min_length=1, pattern=r"^\S+$")
    """Kafka of the workers, ``host:port``, comma-separated."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = Field(
        default=None, alias="KAFKA_SECURITY_PROTOCOL"
    )
    """Whether the workers' connections are encrypted and authenticated; left out, the workers' own default."""
    kafka_group_protocol: Literal["classic", "consumer"] | None = Field(default=None, alias="KAFKA_GROUP_PROTOCOL")
    """The workers' group protocol; left out, the workers' own default."""
    kafka_properties: str | None = Field(default=None, alias="KAFKA_PROPERTIES")
    """Further librdkafka properties of the workers: a JSON object."""
    http_port: int = Field(default=8081, alias="HTTP_PORT", ge=0, le=65_535)
    """Port of ``/healthz``, ``/readyz`` and ``/metrics``; 0 takes a free one."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", alias="LOG_LEVEL")
    """Least severe log event that is written."""
    log_format: Literal["json", "console"] | None = Field(default=None, alias="LOG_FORMAT")
    """``json`` or ``console``; left out, console on a terminal and JSON elsewhere."""

    @field_validator("worker_image_pull_secrets", "namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        return value

    @field_validator("namespaces")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _NAMESPACE.fullmatch(name):
                raise ValueError(
                    f"{name!r} can't be a namespace: write each by its full name, patterns are not supported"
                )
        return value

    @field_validator("kafka_properties")
    @classmethod
    def _is_json_object(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parsed = json.loads(value)
        except ValueError as error:
            raise ValueError(f"must be a JSON object ({error})") from error
        if not isinstance(parsed, dict):
            raise ValueError('must be a JSON object, for example {"socket.keepalive.enable": true}')  # noqa: TRY004  # pydantic's
        return value


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that ``environment`` holds; an empty variable counts as not set.

    Raises SettingsError that names each variable that can't work.
    """
    known = {str(field.alias) for field in Settings.model_fields.values()}
    given = {name: value for name, value in environment.items() if name in known and value != ""}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(_describe(problem) for problem in error.errors())) from None


def _describe(problem: Any) -> str:
    name = str(problem["loc"][0])
    if problem["type"] == "missing":
        return f"{name}: is required and not set"
    if problem["type"] == "string_pattern_mismatch":
        return f"{name}: must hold no blanks (it is {str(problem['input'])[:_SHOWN_CHARACTERS]!r})"
    sentence = str(problem["msg"]).removeprefix("Value error, ")
    return f"{name}: {sentence} (it is {str(problem['input'])[:_SHOWN_CHARACTERS]!r})"
