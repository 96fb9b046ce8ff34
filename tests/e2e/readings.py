"""What the devices publish: real readings from a CSV file, dealt out to 24 devices, and fifty kinds of damage."""

from __future__ import annotations

import base64
import csv
import itertools
import json
import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["DEVICES", "Sent", "build_damaged", "build_good", "differences", "mix", "read_readings", "to_jsonl"]

DEVICES = [f"DEV-{number:02}" for number in range(1, 25)]
METRICS = ("temperature", "humidity", "light", "co2")


@dataclass(frozen=True)
class Reading:
    """One row: when, and what was measured."""

    ts: datetime
    metrics: dict[str, float]


@dataclass(frozen=True)
class Sent:
    """A message as a device publishes it. ``reason`` is why it must be dead-lettered; None for a good one."""

    id: str
    device: str
    topic: str
    payload: bytes
    clean: dict[str, Any] | None = None
    """What must be in the clean topic for it."""
    reason: str | None = None


def read_readings() -> list[Reading]:
    """Return the readings of the file that READINGS_CSV names, or made-up ones of a room where it names none."""
    path = os.environ.get("READINGS_CSV")
    return list(_from_csv(Path(path)) if path else _made_up(10_000))


def _from_csv(path: Path) -> Iterator[Reading]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield Reading(datetime.fromisoformat(row["ts"]), {name: float(row[name]) for name in METRICS})


def _made_up(count: int) -> Iterator[Reading]:
    for minute in range(count):
        day = 2 * math.pi * minute / 1440
        values = (
            21 + 2 * math.sin(day),
            27 + 3 * math.cos(day),
            max(0.0, 500 * math.sin(day)),
            600 + 200 * math.sin(day),
        )
        metrics = {name: round(value, 3) for name, value in zip(METRICS, values, strict=True)}
        yield Reading(datetime(2015, 2, 2, tzinfo=UTC).replace(tzinfo=None) + timedelta(minutes=minute), metrics)


def build_good(readings: Iterable[Reading], prefix: str, count: int) -> list[Sent]:
    """Return ``count`` messages, the readings dealt out to the devices in turn; ids are ``<prefix><number>``."""
    messages = []
    for number, (reading, device) in enumerate(
        itertools.islice(zip(itertools.cycle(readings), itertools.cycle(DEVICES), strict=False), count)
    ):
        document = {"schema_version": 1, "device": device, "metrics": reading.metrics, "ts": str(reading.ts)}
        clean = {**document, "ts": reading.ts.isoformat() + "Z"}
        payload = json.dumps(document).encode()
        messages.append(Sent(f"{prefix}{number:06}", device, f"telemetry/{device}", payload, clean=clean))
    return messages


def build_damaged(prefix: str, count: int = 50) -> list[Sent]:
    """Return ``count`` damaged messages, every kind in turn; ids are ``<prefix>bad-<number>-<kind>``."""
    messages = []
    for number, (kind, (reason, damage)) in zip(range(count), itertools.cycle(DAMAGE.items()), strict=False):
        device = DEVICES[number % len(DEVICES)]
        good = {"schema_version": 1, "device": device, "metrics": {"temperature": 21.5, "run": number}, "ts": TS}
        topic = "telemetry/" if kind == "no_device" else f"telemetry/{device}"
        messages.append(Sent(f"{prefix}bad-{number:02}-{kind}", device, topic, damage(good), reason=reason))
    return messages


TS = "2026-02-20 22:45"
NESTING = 450_000


def _with(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda good: json.dumps({**good, **changes}).encode()


def _without(field: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda good: json.dumps({name: value for name, value in good.items() if name != field}).encode()


def _twice(good: dict[str, Any]) -> bytes:
    return json.dumps(good).encode()[:-1] + b', "ts": "2020-01-01 00:00"}'


def _nested(good: dict[str, Any]) -> bytes:
    return b'{"device": "%s", "metrics": ' % good["device"].encode() + b"[" * NESTING + b"]" * NESTING + b"}"


# What is done to a good document, and the reason code that the dead letter must carry.
DAMAGE: dict[str, tuple[str, Callable[[dict[str, Any]], bytes]]] = {
    "truncated": ("not_json", lambda good: json.dumps(good).encode()[:-20]),
    "empty": ("not_json", lambda _good: b""),
    "invalid_utf8": ("not_utf8", lambda good: json.dumps(good).encode().replace(b"temperature", b"temp\xff\xferature")),
    "array": ("not_object", lambda good: json.dumps([good]).encode()),
    "version_2": ("unsupported_schema_version", _with(schema_version=2)),
    "version_text": ("unsupported_schema_version", _with(schema_version="1")),
    "no_version": ("missing_field", _without("schema_version")),
    "no_device": ("missing_field", _without("device")),
    "no_metrics": ("missing_field", _without("metrics")),
    "no_ts": ("missing_field", _without("ts")),
    "long_device": ("bad_device", _with(device="D" * 200)),
    "another_device": ("device_mismatch", _with(device="DEV-99")),
    "empty_metrics": ("bad_metrics", _with(metrics={})),
    "text_metric": ("bad_metrics", _with(metrics={"temperature": "warm"})),
    "nan": ("not_json", _with(metrics={"temperature": math.nan})),
    "infinity": ("not_json", _with(metrics={"temperature": math.inf})),
    "impossible_date": ("bad_ts", _with(ts="2026-02-30 12:00")),
    "no_date": ("bad_ts", _with(ts="yesterday")),
    "nested": ("too_deep", _nested),
    "key_twice": ("duplicate_key", _twice),
    "lone_surrogate": ("not_json", lambda good: json.dumps(good).encode().replace(b"2026", b"\\ud800")),
}


def mix(good: list[Sent], damaged: list[Sent]) -> list[Sent]:
    """Return the good ones in their order with the damaged ones spread evenly among them."""
    every = max(1, len(good) // max(1, len(damaged)))
    mixed, rest = [], iter(damaged)
    for number, message in enumerate(good):
        mixed.append(message)
        if number % every == every // 2:
            mixed.extend(itertools.islice(rest, 1))
    return [*mixed, *rest]


def differences(found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    """Return in a few lines how two mappings by id differ; empty where they don't.

    For asserting on thousands of ids: pytest would work for minutes on the whole difference.
    """
    unlike = [id_ for id_ in {*found, *wanted} if found.get(id_) != wanted.get(id_)]
    shown = [f"{id_}: found {found.get(id_)!r}, wanted {wanted.get(id_)!r}" for id_ in sorted(unlike)[:10]]
    return "\n".join([f"{len(unlike)} of {len(wanted)} differ:", *shown]) if unlike else ""


def to_jsonl(messages: Iterable[Sent]) -> bytes:
    """Return the messages as toolbox.py reads them."""
    lines = (
        json.dumps(
            {
                "id": message.id,
                "connection": message.device,
                "topic": message.topic,
                "payload": base64.b64encode(message.payload).decode(),
            }
        )
        for message in messages
    )
    return "\n".join(lines).encode()
