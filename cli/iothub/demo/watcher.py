"""Reads the hub's topics while the demonstration runs: into the tally, and for the screen.

A topic has a thread of its own. Nothing joins a group: whoever looks changes nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime

from consumers.records import Record
from iothub.demo.snapshot import DeadLetterLine, ReadingLine
from iothub.demo.tally import Tally
from iothub.errors import CliError
from iothub.kafka.reading import read_records
from iothub.kafka.starts import Start
from iothub.target import Target
from telemetry import headers as h
from telemetry.errors import InvalidTelemetry, IotHubError
from telemetry.names import TOPIC_CLEAN, TOPIC_DLQ, TOPIC_RAW
from telemetry.schema import parse_telemetry
from telemetry.timestamps import parse_timestamp

_KEPT = 60
"""Newest records of each topic that are kept for the screen."""
_PAUSE = 0.3
"""Before a topic that can't be read now is tried again."""


class Watcher:
    """Reads ``telemetry.raw``, ``telemetry.clean`` and ``telemetry.dlq`` of a target from ``start`` on."""

    def __init__(self, target: Target, tally: Tally, start: Start) -> None:
        self._target = target
        self._tally = tally
        self._start = start
        self._stop = threading.Event()
        self._raw: deque[Record] = deque(maxlen=_KEPT)
        self._clean: deque[Record] = deque(maxlen=_KEPT)
        self._sentences: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        takers = {TOPIC_RAW: self._take_raw, TOPIC_CLEAN: self._take_clean, TOPIC_DLQ: self._take_dead}
        self._threads = [
            threading.Thread(target=self._read, args=(topic, take), name=f"watches {topic}", daemon=True)
            for topic, take in takers.items()
        ]

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End reading."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def problems(self) -> tuple[str, ...]:
        """Why a topic can't be read now."""
        return tuple(dict.fromkeys(self._problems.values()))

    def find_readings(self, most: int) -> tuple[str, tuple[ReadingLine, ...]]:
        """Return the newest readings, newest first, and their topic: the raw one until a first clean one is there."""
        topic, records = (TOPIC_CLEAN, self._clean) if self._clean else (TOPIC_RAW, self._raw)
        found: list[ReadingLine] = []
        for record in reversed(tuple(records)):
            reading = _to_reading(record)
            if reading is not None:
                found.append(reading)
            if len(found) == most:
                break
        # Several partitions: a batch of one follows a batch of another.
        return topic, tuple(sorted(found, key=lambda reading: reading.at, reverse=True))

    def find_dead_letters(self) -> tuple[DeadLetterLine, ...]:
        """Return the dead letters by reason, most first, each with why the newest of them is one."""
        return tuple(
            DeadLetterLine(reason, count, self._sentences.get(reason, ""))
            for reason, count in self._tally.total().reasons.items()
        )

    # --- the topics' threads ---

    def _read(self, topic: str, take: Callable[[Record], None]) -> None:
        # Begun again after a trouble, reading hands over what it has handed over before: that is no duplicate.
        seen: dict[int, int] = {}
        while not self._stop.is_set():
            try:
                records = read_records(self._target, topic, start=self._start, follow=True, stopping=self._stop.is_set)
                for record in records:
                    self._problems.pop(topic, None)
                    if record.offset > seen.get(record.partition, -1):
                        seen[record.partition] = record.offset
                        take(record)
            except (CliError, IotHubError) as error:
                self._problems[topic] = str(error)
                self._stop.wait(_PAUSE)

    def _take_raw(self, record: Record) -> None:
        self._raw.append(record)
        self._tally.note_raw(record.header(h.ID))

    def _take_clean(self, record: Record) -> None:
        self._clean.append(record)
        self._tally.note_clean(record.header(h.ID))

    def _take_dead(self, record: Record) -> None:
        reason = record.header(h.DLQ_REASON) or "none"
        self._sentences[reason] = record.header(h.ERROR_MESSAGE) or ""
        self._tally.note_dead(record.header(h.ID), reason)


def _to_reading(record: Record) -> ReadingLine | None:
    """Return the reading in a raw or clean record, at the time it was received here; None where it holds none."""
    try:
        message = parse_telemetry(record.value, record.header(h.DEVICE))
        received = parse_timestamp(record.header(h.RECEIVED_AT))
    except (InvalidTelemetry, ValueError):
        return None
    return ReadingLine(_to_local(received), message.device, message.metrics)


def _to_local(moment: datetime) -> datetime:
    return moment.astimezone()
