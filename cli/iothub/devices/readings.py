"""Real readings from a CSV file: one row is one message of one device.

ts,device,temperature,humidity
2015-02-02 14:19:00,office-1,23.7,26.272

Every column of numbers is a metric; other columns are left out. A file without a column for the device is of one
device, called as the file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path

from iothub.devices.damage import DamagePlan
from iothub.devices.message import Planned, build_document, build_message
from iothub.errors import UsageError
from telemetry.schema.v1 import MAX_METRIC_NAME_CHARACTERS, MAX_METRICS, find_device_problem
from telemetry.timestamps import parse_timestamp

_TS_NAMES = ("ts", "timestamp", "time", "datetime", "date_time", "date")
_DEVICE_NAMES = (
    "device",
    "device_id",
    "deviceid",
    "sensor",
    "sensor_id",
    "node",
    "node_id",
    "station",
    "mote",
    "moteid",
)
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})
_BOOLEANS = {"true": True, "false": False}


class BadRow(UsageError):
    """A row, or the header, can't be taken; the sentence has the file and the line."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One row. ``ts`` is as the file writes it (a number where it is one), ``moment`` is what it means."""

    line: int
    device: str
    ts: str | int | float
    moment: datetime
    metrics: dict[str, float | bool]


@dataclass(frozen=True)
class CsvFile:
    """A file of readings. Columns that are not named are found by their usual names."""

    path: Path
    ts_column: str | None = None
    device_column: str | None = None

    def read(self, *, on_bad_row: Callable[[BadRow], None] | None = None) -> Iterator[Reading]:
        """Yield the readings, row by row.

        Raises BadRow for the first row that can't be taken; with ``on_bad_row`` it is told instead, and left out. A
        header that can't be taken is always raised.
        """
        with self._opened() as rows:
            header = [name.strip() for name in next(rows, [])]
            parser = _RowParser(self, header)
            for cells in rows:
                if not cells:
                    continue
                try:
                    reading = parser.parse(rows.line_num, cells)
                except BadRow as bad:
                    if on_bad_row is None:
                        raise
                    on_bad_row(bad)
                else:
                    yield reading

    @contextmanager
    def _opened(self) -> Iterator[csv._reader]:  # type: ignore[name-defined]
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                yield csv.reader(file, strict=True)
        except OSError as error:
            raise UsageError(f"can't read {self.path}: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{self.path} is no CSV file in UTF-8: {error}") from error


class _RowParser:
    """Turns rows into readings; learns, as values come, which columns hold numbers."""

    def __init__(self, file: CsvFile, header: list[str]) -> None:
        self._path = file.path
        self._width = len(header)
        if not any(header):
            raise BadRow(f"{file.path}:1: the file is empty; its first line has to name the columns")
        self._ts = self._find(header, file.ts_column, _TS_NAMES, option="--ts-column")
        if self._ts is None:
            raise BadRow(
                f"{file.path}:1: no column is called {' or '.join(_TS_NAMES[:3])}; name the one with the time with "
                f"--ts-column (columns: {', '.join(header)})"
            )
        self._device = self._find(header, file.device_column, _DEVICE_NAMES, option="--device-column")
        self._metrics = {
            place: name
            for place, name in enumerate(header)
            if place not in {self._ts, self._device} and 1 <= len(name) <= MAX_METRIC_NAME_CHARACTERS
        }
        self._numeric: dict[int, bool] = {}

    def _find(self, header: list[str], asked: str | None, usual: Iterable[str], *, option: str) -> int | None:
        if asked is not None:
            if asked not in header:
                raise BadRow(
                    f"{self._path}:1: {option} is {asked!r}, but the columns are {', '.join(header)}; write one of them"
                )
            return header.index(asked)
        lowered = [name.lower() for name in header]
        return next((lowered.index(name) for name in usual if name in lowered), None)

    def parse(self, line: int, cells: list[str]) -> Reading:
        if len(cells) != self._width:
            raise self._bad(line, f"the row has {len(cells)} values, the header names {self._width} columns")
        ts, moment = self._parse_ts(line, cells)
        device = self._parse_device(line, cells)
        metrics = {
            name: value
            for place, name in self._metrics.items()
            if (value := self._parse_value(line, place, cells[place].strip())) is not None
        }
        if not 1 <= len(metrics) <= MAX_METRICS:
            raise self._bad(line, f"the row has {len(metrics)} numbers to send; 1 to {MAX_METRICS} are allowed")
        return Reading(line, device, ts, moment, metrics)

    def _parse_ts(self, line: int, cells: list[str]) -> tuple[str | int | float, datetime]:
        text = cells[self._ts or 0].strip()
        number = _parse_number(text)
        ts = text if number is None else number
        try:
            return ts, parse_timestamp(ts)
        except ValueError as error:
            raise self._bad(line, f"the time {error}") from error

    def _parse_device(self, line: int, cells: list[str]) -> str:
        device = self._path.stem if self._device is None else cells[self._device].strip()
        problem = find_device_problem(device)
        if problem is None and set(device) & set("/+#"):
            problem = f"is {device!r}: '/', '+' and '#' have a meaning of their own in an MQTT topic"
        if problem is not None:
            raise self._bad(line, f"the device {problem}")
        return device

    def _parse_value(self, line: int, place: int, text: str) -> float | bool | None:
        """Return the value of a metric's cell, None where there is none or the column is one of texts."""
        if text.lower() in _MISSING:
            return None
        value: float | bool | None = _BOOLEANS.get(text.lower())
        if value is None:
            value = _parse_number(text)
        if self._numeric.setdefault(place, value is not None) and value is None:
            raise self._bad(line, f"{self._metrics[place]} is {text[:40]!r}, where the rows before have a number")
        return value if self._numeric[place] else None

    def _bad(self, line: int, sentence: str) -> BadRow:
        return BadRow(f"{self._path}:{line}: {sentence}")


def _parse_number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    # float() takes more than JSON has a number for: 1_000, inf.
    if "_" in text or not isfinite(number):
        return None
    return int(text) if text.lstrip("+-").isdecimal() and abs(number) < 2**53 else number


def plan_readings(
    readings: Iterable[Reading], *, speed: float | None, damage: DamagePlan, run: str
) -> Iterator[Planned]:
    """Yield a message for each reading, as far apart as the readings are, ``speed`` times faster; None: without pause.

    A reading whose time lies before the one above it is sent right behind that one.
    """
    first: datetime | None = None
    due = 0.0
    for number, reading in enumerate(readings):
        first = first or reading.moment
        if speed is not None:
            due = max(due, (reading.moment - first).total_seconds() / speed)
        document = build_document(f"{run}-{reading.line}", reading.device, dict(reading.metrics), reading.ts)
        yield Planned(due, build_message(reading.device, document, damage.find(number)))
