"""The telemetry schema as a competent user would write it on orjson, for the Python peers' validators.

The same checks, reason codes and normal form as ours has; without the rarer ones (see README.md).
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import Any

import orjson

_FIELDS = frozenset({"schema_version", "device", "metrics", "ts"})
_FIRST_MILLISECONDS = 100_000_000_000


class Invalid(Exception):
    """The message can't be taken; ``reason`` is a stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def normalise(value: bytes, device: str | None) -> tuple[str, bytes]:
    """Return the device and the clean value of a raw one; ``device`` is who sent it. Raises Invalid."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Invalid(_find_reason(value), str(error)) from error
    if type(document) is not dict:
        raise Invalid("not_object", "the message must be a JSON object")
    for field in ("schema_version", "metrics", "ts"):
        if field not in document:
            raise Invalid("missing_field", f"the field {field!r} is missing")
    if type(document["schema_version"]) is not int or document["schema_version"] != 1:
        raise Invalid("unsupported_schema_version", f"'schema_version' is {document['schema_version']!r}")
    said = document.get("device", device)
    if type(said) is not str or not 1 <= len(said) <= 128 or not said.isprintable():
        raise Invalid("bad_device", "'device' must be a string of 1 to 128 characters")
    if device is not None and said != device:
        raise Invalid("device_mismatch", f"'device' is {said!r}, but {device!r} sent the message")
    _check_metrics(document["metrics"])
    clean = {
        "schema_version": 1,
        "device": said,
        "metrics": document["metrics"],
        "ts": _parse_time(document["ts"]).replace(tzinfo=None).isoformat() + "Z",
    }
    if len(document) > len(_FIELDS) or not document.keys() <= _FIELDS:
        clean["extra"] = {name: content for name, content in document.items() if name not in _FIELDS}
    return said, orjson.dumps(clean)


def _find_reason(value: bytes) -> str:
    try:
        value.decode()
    except UnicodeDecodeError:
        return "not_utf8"
    return "not_json"


def _check_metrics(metrics: Any) -> None:
    if type(metrics) is not dict or not 1 <= len(metrics) <= 256:
        raise Invalid("bad_metrics", "'metrics' must be an object of 1 to 256 values")
    for name, value in metrics.items():
        if not 1 <= len(name) <= 64:
            raise Invalid("bad_metrics", "a name in 'metrics' has 1 to 64 characters")
        kind = type(value)
        if kind is float:
            if not isfinite(value):
                raise Invalid("bad_metrics", f"'metrics.{name}' is not a finite number")
        elif kind is not int and kind is not bool:
            raise Invalid("bad_metrics", f"'metrics.{name}' must be a number or a boolean")


def _parse_time(ts: Any) -> datetime:
    try:
        if type(ts) is str:
            moment = datetime.fromisoformat(ts)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if type(ts) in {int, float} and ts >= 0:
            return datetime.fromtimestamp(ts / 1000 if ts >= _FIRST_MILLISECONDS else ts, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid("bad_ts", f"'ts' is no time: {error}") from error
    raise Invalid("bad_ts", "'ts' must be a time")
