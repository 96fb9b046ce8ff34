"""The records that the benchmarks run on: what devices send, as ingestion writes it. Pure.

A few thousand different messages are built once and then repeated: building a million would take longer than reading
them. Nothing that is measured looks across messages, so it does not matter that they come again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from ingestion.record import RawRecord, build_mqtt_record
from iothub.devices.damage import Damage, DamagePlan
from iothub.devices.message import TOPIC_PREFIX
from telemetry.codec import encode_json

POOL = 6000
"""How many different messages there are."""
DEVICES = 600

_STARTED = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
_SEED = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a device: what it says, what is wrong with it, and the raw record that ingestion makes of it."""

    document: dict[str, Any]
    damage: Damage | None
    record: RawRecord


def build_pool(damaged: float = 0.0, size: int = POOL) -> list[Sent]:
    """Return the messages: about 290 bytes of JSON each, five headers, and the share ``damaged`` of them invalid."""
    plan = DamagePlan(damaged, _SEED)
    return [_build(number, plan.find(number)) for number in range(size)]


def _build(number: int, damage: Damage | None) -> Sent:
    device = f"DEV-{number % DEVICES + 1:04}"
    moment = _STARTED + timedelta(milliseconds=1237 * number)
    document = {
        "schema_version": 1,
        "device": device,
        "metrics": _measure(Random(number)),  # the same at each run
        "ts": _write_time(number, moment),
    }
    payload = encode_json(document) if damage is None else damage.apply(document)
    record = build_mqtt_record(
        TOPIC_PREFIX + device,
        payload,
        device=device,
        user_properties=(),
        content_type=None,
        received_at=moment + timedelta(milliseconds=85),
    )
    return Sent(document, damage, record)


def _measure(random: Random) -> dict[str, float | bool]:
    return {
        "temperature": round(random.uniform(18, 24), 2),
        "humidity": round(random.uniform(30, 60), 1),
        "pressure": round(random.uniform(990, 1030), 1),
        "light": random.randrange(1000),
        "co2": random.randrange(400, 1500),
        "power": round(random.uniform(0, 2000), 1),
        "voltage": round(random.uniform(225, 236), 1),
        "current": round(random.uniform(0, 9), 3),
        "battery": round(random.uniform(2.9, 3.3), 3),
        "signal_strength": -random.randrange(40, 95),
        "vibration": round(random.uniform(0.1, 0.9), 3),
        "frequency": round(random.uniform(49.9, 50.1), 2),
        "door_open": random.random() < 0.1,
    }


def _write_time(number: int, moment: datetime) -> str | int:
    """Return ``moment`` in one of the forms that the schema takes."""
    forms: tuple[str | int, ...] = (
        f"{moment:%Y-%m-%dT%H:%M:%S}Z",
        f"{moment:%Y-%m-%d %H:%M:%S}",
        int(moment.timestamp() * 1000),
        f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
    )
    return forms[number % len(forms)]
