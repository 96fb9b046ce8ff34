"""Everything that the screen shows, gathered from those who know it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iothub.demo.groups import GroupWatcher
from iothub.demo.rates import RateMeter
from iothub.demo.snapshot import Flow, Snapshot
from iothub.demo.stage import Stage
from iothub.demo.tally import Tally, Totals
from iothub.demo.watcher import Watcher
from iothub.devices.publisher import Publisher
from telemetry.names import TOPIC_CLEAN, TOPIC_DLQ, TOPIC_RAW

_READINGS = 40
"""As many as a very tall terminal shows."""


@dataclass(frozen=True)
class DemoOptions:
    """What is to be shown."""

    seconds: float = 60.0
    devices: int = 20
    rate: float = 50.0
    damaged: float = 0.02
    seed: int = 0
    picture: Path | None = None
    """Where the screen is written as SVG, as it was shortly before the end."""


class Board:
    """How a demonstration stands. Who plays it fills in what there is by now; `take_snapshot` is what is seen of it."""

    def __init__(self, options: DemoOptions, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._stage = stage
        self._clock = clock
        self._meters = {name: RateMeter() for name in ("sent", "acknowledged", TOPIC_RAW, TOPIC_CLEAN, TOPIC_DLQ)}
        self._began: float | None = None
        self._ended: float | None = None
        self.tally = Tally()
        self.rate = options.rate
        self.now = "starting"
        """What goes on, as a sentence."""
        self.publisher: Publisher | None = None
        self.watcher: Watcher | None = None
        self.groups: GroupWatcher | None = None
        self.group_names: tuple[str, ...] = ()
        self.places: tuple[tuple[str, str], ...] = ()

    def begin(self) -> None:
        """Note that devices begin to publish."""
        self._began = self._clock()

    def end(self) -> None:
        """Note that they have ended."""
        self._ended = self._clock()

    @property
    def is_publishing(self) -> bool:
        """Whether devices publish now."""
        return self._began is not None and self._ended is None

    @property
    def seconds(self) -> float:
        """How long devices have published."""
        if self._began is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._began

    def take_snapshot(self) -> Snapshot:
        """Return the screen's content as it is now."""
        options, watcher, totals = self._options, self.watcher, self.tally.total()
        topic, readings = watcher.find_readings(_READINGS) if watcher else (TOPIC_RAW, ())
        self.places = self._stage.places or self.places
        consumers = self._stage.list_consumers(self.groups.groups if self.groups else {})
        self.group_names = tuple(line.group for line in consumers)
        return Snapshot(
            title=f"iothub demo: {options.devices} devices, {self.rate:g} messages a second, "
            f"{100 * options.damaged:g}% of them damaged",
            places=self.places,
            limits=self._stage.limits,
            flows=self._measure_flows(totals),
            consumers=consumers,
            dead_letters=watcher.find_dead_letters() if watcher else (),
            readings=readings,
            readings_from=topic,
            now=self.now,
            passed=min(options.seconds, self.seconds),
            seconds=options.seconds,
            awaited=totals.awaited,
            problems=self._find_problems(),
        )

    def _measure_flows(self, totals: Totals) -> tuple[Flow, ...]:
        counts = zip(
            self._meters, (totals.sent, totals.acknowledged, totals.raw, totals.clean, totals.dead), strict=True
        )
        flows = []
        for name, total in counts:
            meter = self._meters[name]
            if self._began is not None:
                meter.note(self._clock(), total)
            flows.append(Flow(name, total, meter.rate, meter.history))
        return tuple(flows)

    def _find_problems(self) -> tuple[str, ...]:
        problems = self.watcher.problems if self.watcher else ()
        if self.is_publishing and self.publisher is not None and self.publisher.is_away:
            return ("the MQTT broker is away; devices wait for it", *problems)
        return problems
