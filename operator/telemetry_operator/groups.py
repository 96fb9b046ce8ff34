"""Which consumer groups are looked at in Kafka, and what is known of each: between the reconcile and the observer.

Only groups of the operator's own Kafka are looked at. A TelemetryConsumer with another one has its starting offsets
from its workers' preflight, and its lag shows in their metrics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from telemetry_operator.kafka.errors import UNAVAILABLE, KafkaProblem, OffsetsRefused
from telemetry_operator.kafka.facts import Look, Reading
from telemetry_operator.kafka.sharing import find_rivals
from telemetry_operator.kafka.targets import Reset, Target, parse_start
from telemetry_operator.naming import Key
from telemetry_operator.spec import Consumer

TELL_AFTER = timedelta(seconds=30)
"""Newer numbers are told where those in the status are this much older, which is at every second look of the
observer's. Not to tell at the first leaves time for the second: a status is no older than a minute, and costs little
more than one call a minute."""


class Observes(Protocol):
    """What asks Kafka: `telemetry_operator.kafka.observer.Observer`."""

    def start(self) -> None:
        """Begin to ask."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...

    def watch(self, readings: Iterable[Reading]) -> None:
        """Ask about these readings from now on, and about no others."""
        ...

    def look(self, reading: Reading) -> Look:
        """Return what is known about ``reading`` at this moment, at once."""
        ...

    def ask_reset(self, reading: Reading, target: Target, token: str) -> Reset | KafkaProblem | None:
        """Return at once what came of a reset, None while it is under way."""
        ...


class Groups:
    """The readings of all TelemetryConsumers, and which of them has newer facts than its status."""

    def __init__(self, observer: Observes) -> None:
        self._observer = observer
        self._readings: dict[Key, Reading] = {}
        self._members: defaultdict[str, set[Key]] = defaultdict(set)
        """Whose group it is: most often one TelemetryConsumer's."""
        self._told: dict[Key, datetime] = {}

    def note(self, key: Key, consumer: Consumer | None) -> None:
        """Have the group of a TelemetryConsumer looked at; None where it is gone, or its spec can't be read."""
        reading = build_reading(consumer) if consumer is not None else None
        before = self._readings.pop(key, None)
        if reading is not None:
            self._readings[key] = reading
        if reading == before:
            # What is asked is the same; where it begins, if it has not, is no part of the question.
            if reading is not None and before is not None and reading.start_from != before.start_from:
                self._observer.watch(self._readings.values())
            return
        self._told.pop(key, None)
        if before is not None:
            self._members[before.group].discard(key)
        if reading is not None:
            self._members[reading.group].add(key)
        self._observer.watch(self._readings.values())

    def look(self, key: Key) -> Look | None:
        """Return what is known about the group, None where it is not looked at."""
        reading = self._readings.get(key)
        return self._observer.look(reading) if reading is not None else None

    def ask_reset(self, key: Key, target: Target, token: str) -> Reset | KafkaProblem | None:
        """Return what came of moving the group, None while it is under way; the first time begins it."""
        reading = self._readings.get(key)
        if reading is None:
            return OffsetsRefused(UNAVAILABLE, "the operator does not ask this Kafka")
        return self._observer.ask_reset(reading, target, token)

    def find_rivals(self, key: Key) -> tuple[Key, ...]:
        """Return the other TelemetryConsumers of the same group that read other topics."""
        reading = self._readings.get(key)
        members = self._members[reading.group] if reading is not None else set()
        if len(members) < 2:
            return ()
        return find_rivals({member: self._readings[member] for member in members}).get(key, ())

    def tell(self, key: Key, observed_at: datetime) -> None:
        """Note what the status says now."""
        self._told[key] = observed_at

    def is_due(self, key: Key) -> bool:
        """Return whether the status is to be brought up to date, if only by its numbers."""
        look, told = self.look(key), self._told.get(key)
        if look is None or look.facts is None:
            return False
        # Wall-clock times: after one that was set back, what was told lies ahead of what is.
        return told is None or abs(look.facts.observed_at - told) >= TELL_AFTER

    def find_due(self) -> list[Key]:
        """Return the TelemetryConsumers that are due."""
        return [key for key in self._readings if self.is_due(key)]

    def find_keys(self, readings: Collection[Reading]) -> list[Key]:
        """Return whose readings these are."""
        return [key for key, reading in self._readings.items() if reading in readings]


def build_reading(consumer: Consumer) -> Reading | None:
    """Return what is asked of the operator's Kafka about ``consumer``, None where it has another one."""
    spec = consumer.spec
    if spec.kafka is not None and spec.kafka.bootstrap_servers is not None:
        return None
    return Reading(
        group=consumer.group_id,
        topics=frozenset(spec.topics),
        dead_letter_topic=consumer.dead_letter_topic,
        start_from=parse_start(spec.start_from),
    )
