"""What Kafka takes as a topic's name; the names of our own topics, and what fits into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from telemetry.errors import ConfigurationError

TOPIC_RAW = "telemetry.raw"
TOPIC_CLEAN = "telemetry.clean"
TOPIC_DLQ = "telemetry.dlq"

MAX_MESSAGE_BYTES = 1024 * 1024
"""Largest value for the raw and the clean topic, whose ``max.message.bytes`` is 64 KiB more, for key and headers."""

_TOPIC_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_TOPIC_MAX_LENGTH = 249


def check_topic_name(name: str) -> str:
    """Return ``name`` if Kafka accepts it as a topic's name, else raise ValueError.

    The rule is that of Kafka's own ``org.apache.kafka.common.internals.Topic``.
    """
    if not 1 <= len(name) <= _TOPIC_MAX_LENGTH:
        raise ValueError(f"a topic's name has 1 to {_TOPIC_MAX_LENGTH} characters, this one has {len(name)}")
    if name in {".", ".."}:
        raise ValueError(f"{name!r} can't be a topic's name")
    if not _TOPIC_CHARACTERS.issuperset(name):
        raise ValueError(f"{name!r} can't be a topic's name: letters, digits, '.', '_' and '-' only")
    return name


def check_topic_names(names: Sequence[str]) -> list[str]:
    """Return ``names`` as a list if they are different topics' names, else raise ConfigurationError."""
    if isinstance(names, str) or not names:
        raise ConfigurationError("topics: give a list of at least one topic's name")
    if len(set(names)) < len(names):
        raise ConfigurationError("topics: one comes twice")
    try:
        return [check_topic_name(name) for name in names]
    except ValueError as error:
        raise ConfigurationError(f"topics: {error}") from error


TopicName = Annotated[str, AfterValidator(check_topic_name)]
