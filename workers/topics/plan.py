"""What has to be done so that the topics are as wanted: made, grown, configured. Never shrunk, never deleted.

Pure: from what is wanted and what there is to a list of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from telemetry.names import TopicName


class WantedTopic(BaseModel):
    """A topic as the topics file asks for it; the field names are those of Kubernetes-style JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    name: TopicName
    partitions: int = Field(ge=1, le=10_000)
    replication_factor: int = Field(default=1, ge=1, le=100)
    configs: dict[str, str] = Field(default_factory=dict)


class TopicsFile(BaseModel):
    """The whole file: ``{"topics": [{"name", "partitions", "replicationFactor", "configs"}]}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: tuple[WantedTopic, ...] = Field(min_length=1)

    @field_validator("topics")
    @classmethod
    def _are_different(cls, value: tuple[WantedTopic, ...]) -> tuple[WantedTopic, ...]:
        names = [topic.name for topic in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"asked for twice: {', '.join(twice)}")
        return value


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as Kafka has it; ``configs`` are its effective settings."""

    partitions: int
    replication_factor: int
    configs: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Create:
    """Make a topic that is not there."""

    topic: WantedTopic


@dataclass(frozen=True, slots=True)
class Grow:
    """Give a topic more partitions."""

    name: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Configure:
    """Set those settings of a topic that differ."""

    name: str
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LeaveAlone:
    """Something differs and is not ours to change; the sentence says what and why."""

    name: str
    why: str


Step = Create | Grow | Configure | LeaveAlone


def plan_topics(wanted: Sequence[WantedTopic], found: Mapping[str, FoundTopic]) -> list[Step]:
    """Return the steps from ``found`` to ``wanted``; topics that nobody asked for are not looked at."""
    steps: list[Step] = []
    for topic in wanted:
        there = found.get(topic.name)
        if there is None:
            steps.append(Create(topic))
            continue
        if there.partitions < topic.partitions:
            steps.append(Grow(topic.name, topic.partitions))
        elif there.partitions > topic.partitions:
            steps.append(
                LeaveAlone(
                    topic.name,
                    f"it has {there.partitions} partitions, {topic.partitions} are asked for: Kafka takes none away",
                )
            )
        if there.replication_factor != topic.replication_factor:
            steps.append(
                LeaveAlone(
                    topic.name,
                    f"its replication factor is {there.replication_factor}, {topic.replication_factor} is asked for: "
                    "moving replicas is for kafka-reassign-partitions.sh",
                )
            )
        differing = {name: value for name, value in topic.configs.items() if there.configs.get(name) != value}
        if differing:
            steps.append(Configure(topic.name, differing))
    return steps
