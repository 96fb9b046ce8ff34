"""Version 1 of the telemetry schema.

{"schema_version": 1, "device": "DEV-01", "metrics": {"humidity": 20, "temperature": 20}, "ts": "2026-02-20 22:45"}
"""

from __future__ import annotations

import unicodedata
from math import isfinite
from typing import Any

from telemetry.errors import InvalidTelemetry
from telemetry.schema import names
from telemetry.schema.message import Telemetry
from telemetry.timestamps import parse_timestamp

MAX_DEVICE_CHARACTERS = 128
MAX_METRICS = 256
MAX_METRIC_NAME_CHARACTERS = names.MAX_CHARACTERS

_FIELDS = frozenset({"schema_version", "device", "metrics", "ts"})


def parse_v1(document: dict[str, Any], device: str | None) -> Telemetry:
    """Return the message in ``document``, sent by ``device`` where the transport knows it. Raises InvalidTelemetry."""
    said = document.get("device", device)
    if type(said) is not str or not 0 < len(said) <= MAX_DEVICE_CHARACTERS or not said.isprintable():
        _check_device(said, is_there=said is not None or "device" in document)
    if device is not None and said != device:
        raise InvalidTelemetry("device_mismatch", f"'device' is {said!r}, but {device!r} sent the message")
    metrics = document.get("metrics")
    if metrics is None and "metrics" not in document:
        raise InvalidTelemetry("missing_field", "the field 'metrics' is missing")
    _check_metrics(metrics)
    if "ts" not in document:
        raise InvalidTelemetry("missing_field", "the field 'ts' is missing")
    try:
        moment = parse_timestamp(document["ts"])
    except ValueError as error:
        raise InvalidTelemetry("bad_ts", f"'ts': {error}") from error
    has_others = len(document) > len(_FIELDS) - ("device" not in document)
    return Telemetry(1, said, metrics, moment, collect_extra(document) if has_others else {})  # type: ignore[arg-type]


def _check_device(said: object, *, is_there: bool) -> None:
    if not is_there:
        raise InvalidTelemetry("missing_field", "the field 'device' is missing, and nothing else names the device")
    problem = find_device_problem(said)
    if problem is not None:
        raise InvalidTelemetry("bad_device", f"'device' {problem}")


def collect_extra(document: dict[str, Any]) -> dict[str, Any]:
    """Return the unknown fields; those under ``extra`` already stay there, so that a clean message keeps its form.

    Where one lies there and beside it too, ``extra`` is an unknown field like any other, and nothing is lost.
    """
    unknown = {name: value for name, value in document.items() if name not in _FIELDS}
    kept = unknown.get("extra")
    if type(kept) is dict and kept:
        others = {name: value for name, value in unknown.items() if name != "extra"}
        if not others.keys() & kept.keys():
            return kept | others
    return unknown


def find_device_problem(device: object) -> str | None:
    """Return what is wrong with ``device`` as a device's id, or None where nothing is."""
    if type(device) is not str:
        return "must be a string"
    if not 1 <= len(device) <= MAX_DEVICE_CHARACTERS:
        return f"must have 1 to {MAX_DEVICE_CHARACTERS} characters, not {len(device)}"
    if not device.isprintable() and any(unicodedata.category(character) == "Cc" for character in device):
        return "must not hold control characters"
    return None


def _check_metrics(metrics: object) -> None:
    if type(metrics) is not dict:
        raise InvalidTelemetry("bad_metrics", "'metrics' must be an object of names and numbers")
    if not 1 <= len(metrics) <= MAX_METRICS:
        raise InvalidTelemetry("bad_metrics", f"'metrics' must hold 1 to {MAX_METRICS} values, not {len(metrics)}")
    # All at once: what adds up to a finite number is numbers and booleans, all of them finite. Where it does not (which
    # finite ones may bring about, too), or a name is not as usual, each is looked at.
    try:
        is_plain = isfinite(sum(metrics.values())) and names.are_plain(metrics)
    except (TypeError, OverflowError):
        is_plain = False
    if not is_plain:
        _check_each_metric(metrics)


def _check_each_metric(metrics: dict[str, Any]) -> None:
    for name, value in metrics.items():
        if not 1 <= len(name) <= MAX_METRIC_NAME_CHARACTERS:
            raise InvalidTelemetry(
                "bad_metrics", f"a name in 'metrics' has 1 to {MAX_METRIC_NAME_CHARACTERS} characters: {name[:80]!r}"
            )
        kind = type(value)
        if kind is float:
            if not isfinite(value):
                raise InvalidTelemetry("bad_metrics", f"'metrics.{name}' is not a finite number")
        elif kind is not int and kind is not bool:
            raise InvalidTelemetry("bad_metrics", f"'metrics.{name}' must be a number or a boolean")
