"""Simulated devices: who they are and what they say. Pure: the same seed and the same moments give the same messages.

Each has a kind of its own (a room, the weather, a meter, a cold store), values that move slowly, and its own way to
write the time; some leave their name out and let the topic say it. Together they use everything that schema version 1
allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import count
from math import pi, sin
from random import Random

from iothub.devices.chance import make_random
from iothub.devices.damage import DamagePlan
from iothub.devices.message import Message, Planned, build_document, build_message

_SILENT_EVERY = 7
"""One device in so many leaves its name to the topic."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    """One measured value: it swings around its mean once in ``period`` seconds, with a little noise."""

    name: str
    mean: float
    swing: float
    period: float
    digits: int = 1
    least: float = 0.0

    def measure(self, phase: float, seconds: float, random: Random) -> float:
        wave = sin(2 * pi * seconds / self.period + phase)
        value = self.mean * (1 + phase / 100) + self.swing * wave + random.gauss(0, self.swing / 50)
        rounded = round(max(self.least, value), self.digits)
        return rounded if self.digits else int(rounded)


@dataclass(frozen=True, slots=True)
class _Switch:
    """One yes or no, such as a door: yes for a part of each ``period`` seconds."""

    name: str
    period: float

    def measure(self, phase: float, seconds: float, random: Random) -> bool:
        return sin(2 * pi * seconds / self.period + phase) > 0.7


_KINDS: tuple[tuple[_Quantity | _Switch, ...], ...] = (
    (
        _Quantity("temperature", 21.5, 1.5, 1800, 2),
        _Quantity("humidity", 38, 6, 2700),
        _Quantity("light", 320, 280, 1200, 0),
        _Quantity("co2", 620, 180, 900, 0),
    ),
    (
        _Quantity("temperature", 9, 6, 3600, 1, least=-40),
        _Quantity("humidity", 70, 15, 3000, 0),
        _Quantity("pressure", 1008, 9, 7200),
        _Quantity("wind", 4, 3.5, 600),
    ),
    (_Quantity("power", 1400, 900, 500, 0), _Quantity("voltage", 231, 3, 300), _Quantity("current", 6.1, 3.9, 500, 2)),
    (
        _Quantity("temperature", -19, 2, 1500, 1, least=-40),
        _Quantity("battery", 3.1, 0.1, 9000, 3),
        _Switch("door_open", 240),
    ),
)

_HOME = timezone(timedelta(hours=1))

_TS_FORMS: tuple[Callable[[datetime], str | int | float], ...] = (
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    lambda moment: f"{moment:%Y-%m-%d %H:%M}",
    lambda moment: int(moment.timestamp()),
    lambda moment: moment.astimezone(_HOME).isoformat(),
    lambda moment: int(moment.timestamp() * 1000),
    lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}",
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}",
    lambda moment: round(moment.timestamp(), 3),
    lambda moment: f"{moment:%Y-%m-%d %H:%M:%S.%f}",
)


class Fleet:
    """``devices`` devices, DEV-0001 and on, that send in turn; ``damaged`` is the share of damaged messages, 0 to 1.

    ``run`` marks the messages of one run: two runs of the same seed never send the same bytes.
    """

    def __init__(self, devices: int, *, damaged: float = 0.0, seed: int = 0, run: str = "0") -> None:
        self._devices = devices
        self._damage = DamagePlan(damaged, seed)
        self._seed = seed
        self._run = run
        self._phases = [make_random(seed, "device", index).uniform(-pi, pi) for index in range(devices)]

    def build_message(self, number: int, moment: datetime) -> Message:
        """Return the message ``number`` (from 0), measured at ``moment`` (aware, UTC)."""
        index = number % self._devices
        device = f"DEV-{index + 1:04}"
        random = make_random(self._seed, "message", number)
        seconds, phase = moment.timestamp(), self._phases[index]
        metrics = {value.name: value.measure(phase, seconds, random) for value in _KINDS[index % len(_KINDS)]}
        ts = _TS_FORMS[index % len(_TS_FORMS)](moment)
        document = build_document(f"{self._run}-{number:06}", device, metrics, ts)
        damage = self._damage.find(number)
        if damage is None and index % _SILENT_EVERY == _SILENT_EVERY - 1:
            del document["device"]
        return build_message(device, document, damage)

    def plan(self, rate: float, started: datetime) -> Iterator[Planned]:
        """Yield messages without end, ``rate`` a second, from ``started`` on."""
        for number in count():
            due = number / rate
            yield Planned(due, self.build_message(number, started + timedelta(seconds=due)))
