"""From a TelemetryConsumer's body to a frozen model, or to SpecError with the path of the field that can't work.

The API server has checked nearly all of it already, by the CRD's schema and rules. What is checked here again is what a
schema can't say (a date that is none), and what protects the builders where the CRD is older or newer than this code:
unknown fields are left to the schema, missing ones get the CRD's defaults.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from telemetry_operator import naming
from telemetry_operator.errors import SpecError
from telemetry_operator.naming import Key

DEFAULT_DEAD_LETTER_TOPIC = "telemetry.dlq"
DEFAULT_OUTPUT_TOPICS = {"validator": "telemetry.clean"}
"""Output topics of the built-in handlers that produce."""
DEFAULT_RESOURCES: dict[str, Any] = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"memory": "512Mi"},
}

RESET_CHARACTERS = 200
"""As much as is kept of what a reset is asked for with: more than any that can work has."""

SecretKey = Literal["username", "password", "ca.crt", "tls.crt", "tls.key"]
_KEYS_OF_PROTOCOL: dict[str, tuple[SecretKey, ...]] = {
    "PLAINTEXT": (),
    "SSL": ("ca.crt",),
    "SASL_PLAINTEXT": ("username", "password"),
    "SASL_SSL": ("username", "password", "ca.crt"),
}

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _check_topic(name: str) -> str:
    if name in {".", ".."} or not _TOPIC.fullmatch(name):
        raise ValueError(f"{name!r} can't be a topic's name: 1 to 249 letters, digits, '.', '_' and '-'")
    return name


TopicName = Annotated[str, AfterValidator(_check_topic)]


class _Model(BaseModel):
    # populate_by_name stays off: a body's fields are camelCase, and a snake_case one is a misspelling.
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="ignore")


class ConfigMapFile(_Model):
    """A Python file in a ConfigMap of the same namespace."""

    name: str = Field(min_length=1, max_length=253)
    key: str = Field(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_.]*\.py$", max_length=253)


class Handler(_Model):
    """Which handler gets the messages, and its keyword arguments."""

    name: str | None = None
    class_: str | None = Field(default=None, alias="class")
    config_map: ConfigMapFile | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _keyword_arguments(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not _IDENTIFIER.fullmatch(name) or keyword.iskeyword(name):
                raise ValueError(f"{name!r} can't be a keyword argument of a Python class: write a name such as level")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Handler:
        if (self.name is None) == (self.class_ is None):
            raise ValueError("write either name: logger, or class: package.module:Class")
        if self.name is not None and self.config_map is not None:
            raise ValueError("write either name, for a built-in handler, or class with configMap, not both")
        if self.class_ is not None:
            if self.config_map is None and not _IMPORT_PATH.fullmatch(self.class_):
                raise ValueError("class: write package.module:Class; a class's name alone needs configMap beside it")
            if self.config_map is not None and not _IDENTIFIER.fullmatch(self.class_):
                raise ValueError("class: with configMap write the class's name alone, for example class: MyHandler")
        return self


class Batch(_Model):
    """Whether the handler gets lists of messages, and how large they may become."""

    enabled: bool = True
    max_size: int = Field(default=500, ge=1, le=10_000)
    timeout_seconds: float = Field(default=1.0, ge=0.01, le=60)


class DeadLetter(_Model):
    """Where messages go that can't be handled."""

    topic: TopicName | None = None
    enabled: bool = True


class Output(_Model):
    """Where messages go that the handler produces."""

    topic: TopicName


class PullSecret(_Model):
    """A Secret for pulling the image, by name."""

    name: str = Field(min_length=1)


class Autoscaling(_Model):
    """How KEDA sets the replicas by the group's lag."""

    min_replicas: int = Field(default=1, ge=0, le=1000)
    max_replicas: int = Field(default=6, ge=1, le=1000)
    lag_threshold: int = Field(default=100, ge=1)
    cooldown_seconds: int = Field(default=300, ge=0, le=3600)

    @model_validator(mode="after")
    def _is_a_range(self) -> Autoscaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas is more than maxReplicas: write a maxReplicas that is not less")
        return self


class KafkaSecret(_Model):
    """The Secret with the user and the certificates, by name."""

    name: str = Field(min_length=1, max_length=253)
    keys: tuple[SecretKey, ...] = ()


class KafkaConnection(_Model):
    """How Kafka is reached, where that is not the operator's own way."""

    bootstrap_servers: str | None = Field(default=None, min_length=1, pattern=r"^\S+$")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    secret_ref: KafkaSecret | None = None
    properties: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> KafkaConnection:
        protocol = self.security_protocol or "PLAINTEXT"
        if protocol.startswith("SASL_") and (self.sasl_mechanism is None or self.secret_ref is None):
            raise ValueError(f"securityProtocol {protocol}: write saslMechanism and secretRef beside it")
        if not protocol.startswith("SASL_") and self.sasl_mechanism is not None:
            raise ValueError("saslMechanism: write securityProtocol: SASL_SSL or SASL_PLAINTEXT beside it")
        if protocol == "PLAINTEXT" and self.secret_ref is not None:
            raise ValueError("secretRef: write securityProtocol: SSL, SASL_SSL or SASL_PLAINTEXT beside it")
        if protocol.startswith("SASL_") and not {"username", "password"} <= set(self.secret_keys):
            raise ValueError("secretRef.keys: write username and password among them")
        if ("tls.crt" in self.secret_keys) != ("tls.key" in self.secret_keys):
            raise ValueError("secretRef.keys: write either both of tls.crt and tls.key or none")
        return self

    @property
    def secret_keys(self) -> tuple[SecretKey, ...]:
        """The keys of the Secret that are used: those that are named, else those that the protocol asks for."""
        if self.secret_ref is None:
            return ()
        return self.secret_ref.keys or _KEYS_OF_PROTOCOL[self.security_protocol or "PLAINTEXT"]


class SecretVolume(_Model):
    """A Secret to be mounted."""

    secret_name: str = Field(min_length=1)
    optional: bool = False


class ConfigMapVolume(_Model):
    """A ConfigMap to be mounted."""

    name: str = Field(min_length=1)
    optional: bool = False


class ClaimVolume(_Model):
    """A persistent volume claim to be mounted."""

    claim_name: str = Field(min_length=1)
    read_only: bool = False


class Volume(_Model):
    """What is mounted into the workers beside the operator's own, and where; exactly one kind of it."""

    name: str = Field(min_length=1, max_length=63)
    mount_path: str = Field(min_length=2, max_length=253)
    secret: SecretVolume | None = None
    config_map: ConfigMapVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Volume:
        if sum(source is not None for source in (self.secret, self.config_map, self.persistent_volume_claim)) != 1:
            raise ValueError("write exactly one of secret, configMap and persistentVolumeClaim")
        return self


class Spread(_Model):
    """Over which places the workers are spread."""

    topology_key: str = Field(min_length=1)
    max_skew: int = Field(default=1, ge=1)
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"


class Spec(_Model):
    """``spec`` of a TelemetryConsumer, as the CRD describes it."""

    topics: tuple[TopicName, ...] = Field(min_length=1, max_length=32)
    group_id: str | None = Field(default=None, min_length=1, max_length=255)
    handler: Handler
    replicas: int = Field(default=1, ge=0, le=1000)
    batch: Batch = Batch()
    decode_json: bool = True
    commit: Literal["manual", "auto"] = "manual"
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    handle_limit_seconds: int = Field(default=900, ge=1, le=86_400)
    start_from: str = "earliest"
    max_attempts: int = Field(default=5, ge=1, le=100)
    dead_letter: DeadLetter = DeadLetter()
    output: Output | None = None
    paused: bool = False
    autoscaling: Autoscaling | None = None
    kafka: KafkaConnection | None = None
    image: str | None = Field(default=None, min_length=1, max_length=512)
    image_pull_secrets: tuple[PullSecret, ...] = ()
    resources: dict[str, dict[str, str | int]] = Field(default_factory=lambda: DEFAULT_RESOURCES)
    env: tuple[dict[str, Any], ...] = ()
    env_from: tuple[dict[str, Any], ...] = ()
    volumes: tuple[Volume, ...] = ()
    service_account_name: str | None = Field(default=None, min_length=1)
    priority_class_name: str | None = Field(default=None, min_length=1)
    node_selector: dict[str, str] = Field(default_factory=dict)
    affinity: dict[str, Any] = Field(default_factory=dict)
    topology_spread_constraints: tuple[Spread, ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()
    pod_annotations: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _transactions_commit(self) -> Spec:
        if self.delivery == "exactly-once" and self.commit == "auto":
            raise ValueError("delivery: with exactly-once the transaction commits: write commit: manual")
        return self

    @field_validator("start_from")
    @classmethod
    def _a_place(cls, value: str) -> str:
        if value in {"earliest", "latest"}:
            return value
        advice = "write earliest, latest, or a time with its zone, for example 2026-02-20T22:45:00Z"
        if not _RFC_3339.fullmatch(value):
            raise ValueError(f"{value!r} is no place to start from: {advice}")
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no time that ever was ({error}): {advice}") from error
        return value


class Consumer(BaseModel):
    """A TelemetryConsumer, checked: what the builders are given."""

    model_config = ConfigDict(frozen=True)

    key: Key
    uid: str
    generation: int
    restart: str | None
    """Value of the annotation that rolls the pods."""
    reset: str | None
    """Value of the annotation that moves the group, as far as it is kept in the status."""
    spec: Spec

    @property
    def group_id(self) -> str:
        """The consumer group, the default where the spec names none."""
        return self.spec.group_id or naming.default_group_id(self.key)

    @property
    def workers(self) -> int:
        """How many workers are asked for: none while paused."""
        return 0 if self.spec.paused else self.spec.replicas

    def stop(self) -> Consumer:
        """Return it as it is to run while its workers have to be gone."""
        return self._change(paused=True)

    def start_from(self, place: str) -> Consumer:
        """Return it with another place for a new group to begin."""
        return self if self.spec.start_from == place else self._change(start_from=place)

    def _change(self, **fields: object) -> Consumer:
        return self.model_copy(update={"spec": self.spec.model_copy(update=fields)})

    @property
    def dead_letter_topic(self) -> str | None:
        """The dead-letter topic; None where dead letters are turned off."""
        if not self.spec.dead_letter.enabled:
            return None
        return self.spec.dead_letter.topic or DEFAULT_DEAD_LETTER_TOPIC

    @property
    def output_topic(self) -> str | None:
        """Where the handler's messages go that name no topic; None where it is not said."""
        if self.spec.output is not None:
            return self.spec.output.topic
        return DEFAULT_OUTPUT_TOPICS.get(self.spec.handler.name or "")


def parse_consumer(body: Mapping[str, Any]) -> Consumer:
    """Return the TelemetryConsumer in ``body``, an object as the API server gives it.

    Raises SpecError with the path of the first field that can't work.
    """
    metadata = body["metadata"]
    annotations = metadata.get("annotations", {})
    try:
        spec = Spec.model_validate(body.get("spec", {}))
    except ValidationError as error:
        problem = error.errors()[0]
        raise SpecError(_path(problem["loc"]), problem["msg"].removeprefix("Value error, ")) from None
    return Consumer(
        key=Key(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        restart=annotations.get(naming.ANNOTATION_RESTART),
        reset=annotations.get(naming.ANNOTATION_RESET, "")[:RESET_CHARACTERS] or None,
        spec=spec,
    )


def _path(location: tuple[int | str, ...]) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
