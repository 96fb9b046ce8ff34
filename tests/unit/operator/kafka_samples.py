"""What Kafka says about a group; a test changes what it is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from telemetry_operator.kafka.errors import KafkaProblem
from telemetry_operator.kafka.facts import GroupView, KafkaFacts, Look, Reading, Trouble
from telemetry_operator.kafka.targets import Reset, Target

AT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)


def facts_of(reading: Reading, **changes: Any) -> KafkaFacts:
    """A group that is up to date with six partitions."""
    values: dict[str, Any] = {
        "reading": reading,
        "observed_at": AT,
        "partitions": dict.fromkeys(reading.topics, 6),
        "missing_topics": (),
        "group": GroupView(),
        "lag": 0,
        "topic_lags": dict.fromkeys(reading.topics, 0),
        "uncommitted": 0,
        "lag_slope": 0.0,
        "drain_seconds": 0,
        "dead_letters": None,
    }
    return KafkaFacts(**{**values, **changes})


class FixedObserver:
    """Stands in for the observer: says what a test has it say."""

    def __init__(self) -> None:
        self.runs = False
        self.watched: list[Reading] = []
        self.looks: dict[Reading, Look] = {}
        self.resets: list[tuple[str, Target, str]] = []
        """Groups, targets and tokens of the resets that were asked for."""
        self.answer: Reset | KafkaProblem | None = None
        """What comes of a reset."""

    def start(self) -> None:
        self.runs = True

    async def stop(self) -> None:
        self.runs = False

    def watch(self, readings: Iterable[Reading]) -> None:
        self.watched = list(readings)

    def look(self, reading: Reading) -> Look:
        return self.looks.get(
            reading, Look(facts=None, trouble=Trouble(reason="KafkaNotAskedYet", message="not yet", since=AT))
        )

    def ask_reset(self, reading: Reading, target: Target, token: str) -> Reset | KafkaProblem | None:
        self.resets.append((reading.group, target, token))
        return self.answer
