"""What a command looks into, and what was typed about it. `iothub.locate` gets from one to the other."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import SecretStr

from iothub.options import DEFAULT_NAME, DEFAULT_RELEASE
from telemetry.kafka_config import KafkaConfig
from telemetry.settings import load_settings

ConfigT = TypeVar("ConfigT", bound=KafkaConfig)


@dataclass(frozen=True)
class Where:
    """What was typed about where to look; the fields are the options of `iothub.options`."""

    bootstrap_servers: str | None = None
    context: str | None = None
    namespace: str | None = None
    release: str = DEFAULT_RELEASE
    name: str = DEFAULT_NAME

    def to_cluster_options(self) -> str:
        """Return the options that name the cluster's hub, as they are typed; nothing where it is none."""
        if self.context is None:
            return ""
        words = ["--context", self.context]
        words += ["--namespace", self.namespace] if self.namespace is not None else []
        words += ["--release", self.release] if self.release != DEFAULT_RELEASE else []
        return shlex.join(words)


@dataclass(frozen=True)
class MqttTarget:
    """A broker that devices publish to; ``version`` is 5 or 4 (MQTT 3.1.1), as paho numbers them."""

    host: str
    port: int
    version: int = 5
    username: str | None = None
    password: SecretStr | None = None

    @property
    def title(self) -> str:
        """For a person: what answers there."""
        return f"the MQTT broker at {self.host}:{self.port}"


@dataclass(frozen=True)
class HttpTarget:
    """An ingestion that devices post to; ``api_key`` where it asks for one."""

    url: str
    """Without a path: ``http://127.0.0.1:8000``."""
    api_key: SecretStr | None = None

    @property
    def title(self) -> str:
        """For a person: what answers there."""
        return f"HTTP ingestion at {self.url}"


@dataclass(frozen=True)
class Target:
    """What a command looks into."""

    title: str
    """For a person: where this is."""
    bootstrap_servers: str
    in_memory: bool = False
    """Whether Kafka is librdkafka's mock cluster, which can't list groups, create topics or tell configs."""
    mqtt: MqttTarget | None = None
    http: HttpTarget | None = None
    groups: tuple[str, ...] = field(default=())
    """Consumer groups that are known from elsewhere, for a Kafka that can't list its own."""

    def load(self, cls: type[ConfigT], **given: object) -> ConfigT:
        """Return the settings of a client of this Kafka: the environment's, with this address."""
        return load_settings(cls, **({"bootstrap_servers": self.bootstrap_servers} | given))
