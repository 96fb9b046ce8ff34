"""The shared worker's settings: the environment contract between whoever starts a worker and the worker.

The operator writes these variables into a pod, a person into a shell or a compose file. Each field says what its
variable means; a value that can't work is refused at start with the variable's name.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from telemetry.names import TopicName
from telemetry.settings import split_commas

_NUMBER = re.compile(r"\s*[-+]?[0-9.]+\s*")


class WorkerSettings(BaseSettings):
    """What a worker consumes, with which handler, and how (``CONSUMER_*``)."""

    model_config = SettingsConfigDict(env_prefix="CONSUMER_", extra="ignore", frozen=True, env_ignore_empty=True)

    topics: Annotated[tuple[TopicName, ...], NoDecode, BeforeValidator(split_commas)] = Field(
        min_length=1, max_length=32
    )
    """Topics to consume: comma-separated in the environment."""
    handler: str = Field(min_length=1)
    """A registered short name, ``package.module:Class``, or a class's name in ``handler_file``."""
    handler_file: str | None = None
    """Path of a Python file that holds the handler's class, as a mounted ConfigMap gives it."""
    handler_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Keyword arguments of the handler's class: a JSON object."""
    batch: bool = True
    """Whether the handler is given lists of messages rather than one at a time."""
    batch_max_size: int = Field(default=500, ge=1, le=10_000)
    """Most messages in one batch."""
    timeout_seconds: float = Field(default=1.0, gt=0, le=60)
    """Longest wait, in seconds, for a batch to fill once its first message is there."""
    decode_json: bool = True
    """Whether values are decoded as JSON before the handler gets them; else it gets the bytes."""
    commit: Literal["manual", "auto"] = "manual"
    """``manual`` commits after each iteration, synchronously; ``auto`` every KAFKA_AUTO_COMMIT_INTERVAL_MS."""
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    """``exactly-once`` puts offsets and what comes of the messages into Kafka in one transaction."""
    start_from: Literal["earliest", "latest"] | datetime = "earliest"
    """Where a group without committed offsets begins: an end of the log, or an RFC 3339 time."""
    output_topic: TopicName | None = None
    """Where ``Outgoing`` messages without a topic of their own go."""
    dlq_topic: TopicName | None = None
    """Where dead letters go; without it a message that can't be handled stops the worker with an error."""
    max_attempts: int = Field(default=5, ge=1, le=100)
    """How often a failing message is handed to the handler before it is a dead letter."""
    handle_limit_seconds: float = Field(default=900, gt=0, le=86_400)
    """How long one call of the handler may take before ``/healthz`` says that only a restart can help."""

    @field_validator("topics")
    @classmethod
    def _are_different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a topic comes twice")
        return value

    @model_validator(mode="after")
    def _transactions_commit(self) -> WorkerSettings:
        if self.delivery == "exactly-once" and self.commit == "auto":
            raise ValueError("CONSUMER_COMMIT is auto: with CONSUMER_DELIVERY exactly-once a transaction commits")
        return self

    @field_validator("start_from", mode="before")
    @classmethod
    def _is_no_number(cls, value: object) -> object:
        # pydantic would take it for seconds since 1970.
        if isinstance(value, int | float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
            raise ValueError("must be earliest, latest or an RFC 3339 time such as 2026-02-20T22:45:00Z")
        return value

    @field_validator("start_from")
    @classmethod
    def _needs_zone(cls, value: str | datetime) -> str | datetime:
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("a start time needs a zone, for example 2026-02-20T22:45:00Z")
        return value
