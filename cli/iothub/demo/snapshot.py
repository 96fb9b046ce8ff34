"""What the demonstration's screen shows, at one moment: plain values, so that a picture of it needs no running hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Flow:
    """One place that messages pass: how many so far, how many a second, and that over the last seconds."""

    name: str
    total: int
    rate: float
    history: tuple[float, ...] = ()


@dataclass(frozen=True)
class ConsumerLine:
    """One consumer. ``lag`` is None where it is not known yet; ``state`` is a sentence, empty where all is well."""

    group: str
    ready: int
    desired: int
    lag: int | None
    state: str = ""

    @property
    def is_well(self) -> bool:
        """Whether it does all that it is asked to do."""
        return self.ready >= self.desired and not self.state


@dataclass(frozen=True)
class DeadLetterLine:
    """Dead letters of one reason: how many, and why the newest of them is one."""

    reason: str
    count: int
    sentence: str


@dataclass(frozen=True)
class ReadingLine:
    """One reading, as it came by."""

    at: datetime
    device: str
    metrics: Mapping[str, float | bool]

    @property
    def values(self) -> str:
        """The metrics for a person: ``temperature 21.5  door_open false``."""
        return "  ".join(
            f"{name} {str(value).lower() if isinstance(value, bool) else f'{value:g}'}"
            for name, value in self.metrics.items()
        )


@dataclass(frozen=True)
class Snapshot:
    """The whole screen."""

    title: str
    """What is shown: so many devices, so many messages a second."""
    places: tuple[tuple[str, str], ...]
    """Where everything runs, by name: ``("Kafka", "Apache Kafka 4.3.1 at 127.0.0.1:9092")``."""
    limits: tuple[str, ...]
    """What can't be had from these, in plain words."""
    flows: tuple[Flow, ...]
    consumers: tuple[ConsumerLine, ...]
    dead_letters: tuple[DeadLetterLine, ...]
    readings: tuple[ReadingLine, ...]
    """Newest first."""
    readings_from: str
    """The topic that they come from."""
    now: str
    """What goes on, as a sentence."""
    passed: float
    """Seconds of publishing so far."""
    seconds: float
    """Seconds of publishing altogether."""
    awaited: int = 0
    """Acknowledged messages that have not arrived yet."""
    problems: tuple[str, ...] = field(default=())
    """What is wrong now."""
