"""Numbers as a person reads them: ``1.2k/s``, ``3 min 20 s``, ``7 d``, ``1.1 MiB``. Pure.

``None`` is what can't be told: ``-``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from telemetry.timestamps import format_utc

UNKNOWN = "-"
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_THOUSANDS = ("", "k", "M", "G", "T")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def format_number(number: float | None) -> str:
    """Return a count in full: ``1234567``."""
    return UNKNOWN if number is None else f"{number:.0f}"


def format_rate(per_second: float | None) -> str:
    """Return a rate: ``0/s``, ``3.4/s``, ``250/s``, ``1.2k/s``."""
    if per_second is None:
        return UNKNOWN
    scaled, unit = _scale(per_second, 1000, _THOUSANDS)
    return f"{scaled}{unit}/s"


def format_bytes(size: float | None) -> str:
    """Return a size: ``17 B``, ``1.1 MiB``."""
    if size is None:
        return UNKNOWN
    scaled, unit = _scale(size, 1024, _BYTES)
    return f"{scaled} {unit}"


def format_duration(seconds: float | None) -> str:
    """Return a duration in its two largest units, ``3 min 20 s``; ``never`` where it is without end."""
    if seconds is None:
        return UNKNOWN
    if math.isinf(seconds):
        return "never"
    left = math.ceil(seconds)
    parts: list[str] = []
    for size, unit in _STEPS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0 s"


def format_retention(milliseconds: int | None) -> str:
    """Return how long a topic keeps its messages: ``7 d``, ``for ever``."""
    if milliseconds is None:
        return UNKNOWN
    return "for ever" if milliseconds < 0 else format_duration(milliseconds / 1000)


def format_stamp(milliseconds: int | None) -> str:
    """Return a record's time, milliseconds since the epoch, as RFC 3339 in UTC, always with milliseconds."""
    if milliseconds is None or milliseconds < 0:
        return UNKNOWN
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_time(milliseconds: int | None) -> str | None:
    """Return the same for a program: RFC 3339, None where it can't be told."""
    if milliseconds is None or milliseconds < 0:
        return None
    return format_utc(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _scale(number: float, step: int, units: tuple[str, ...]) -> tuple[str, str]:
    """Return ``number`` with the largest unit that leaves at least one, with one decimal below ten."""
    scaled, place = float(number), 0
    while abs(scaled) >= step - 0.5 and place < len(units) - 1:
        scaled, place = scaled / step, place + 1
    text = f"{scaled:.1f}"
    return (text.removesuffix(".0") if abs(float(text)) < 10 else f"{scaled:.0f}"), units[place]
