"""The ways in which a message can be damaged, each with the reason code that its dead letter must carry. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf, nan
from typing import Any

from iothub.devices.chance import make_random
from telemetry.codec import MAX_DEPTH
from telemetry.schema.v1 import MAX_METRICS

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to damage a valid document; ``apply`` returns the bytes that are sent in its place."""

    kind: str
    reason: str
    apply: Callable[[Document], bytes]


class DamagePlan:
    """Which messages are damaged and how: exactly ``share`` of them, at places that only ``seed`` knows.

    Of each 1/share messages in a row one is damaged, and the kinds take turns, so that a short run shows many.
    """

    def __init__(self, share: float, seed: int) -> None:
        # Exact: 0.1 as a float would put a place into the wrong stretch sooner or later.
        self._share = Fraction(str(share))
        self._seed = seed
        self._kinds = make_random(seed, "kinds").sample(KINDS, len(KINDS))

    def find(self, number: int) -> Damage | None:
        """Return what is wrong with the message ``number`` (from 0), None where nothing is."""
        if not self._share:
            return None
        stretch = int(number * self._share)
        first, following = ceil(stretch / self._share), ceil((stretch + 1) / self._share)
        chosen = make_random(self._seed, "damage", stretch).randrange(first, following)
        return self._kinds[stretch % len(self._kinds)] if number == chosen else None


def _dump(document: object) -> bytes:
    # Not orjson: what it refuses to write, NaN and half a surrogate pair, is wanted here.
    return json.dumps(document, separators=(",", ":")).encode()


def _with(**changes: Any) -> Callable[[Document], bytes]:
    return lambda document: _dump(document | changes)


def _without(field: str) -> Callable[[Document], bytes]:
    return lambda document: _dump({name: value for name, value in document.items() if name != field})


def _ending(text: str) -> Callable[[Document], bytes]:
    return lambda document: _dump(document)[:-1] + text.encode()


def _other_device(document: Document) -> bytes:
    return _dump(document | {"device": f"{document['device']}-B"})


KINDS: tuple[Damage, ...] = (
    Damage("truncated", "not_json", lambda document: _dump(document)[:-9]),
    Damage("python_quotes", "not_json", lambda document: repr(document).encode()),
    Damage("trailing_comma", "not_json", _ending(",}")),
    Damage("nan", "not_json", _with(metrics={"temperature": nan})),
    Damage("infinity", "not_json", _with(metrics={"temperature": -inf})),
    Damage("half_surrogate", "not_json", _with(room="\ud83c")),
    Damage("latin_1", "not_utf8", lambda document: _dump(document)[:-1] + ',"room":"Küche"}'.encode("latin-1")),
    Damage("array", "not_object", lambda document: _dump([document])),
    Damage("text", "not_object", lambda document: _dump(_dump(document).decode())),
    Damage("unknown_version", "unsupported_schema_version", _with(schema_version=99)),
    Damage("version_as_text", "unsupported_schema_version", _with(schema_version="1")),
    Damage("no_version", "missing_field", _without("schema_version")),
    Damage("no_metrics", "missing_field", _without("metrics")),
    Damage("no_ts", "missing_field", _without("ts")),
    Damage("device_as_number", "bad_device", _with(device=7)),
    Damage("long_device", "bad_device", _with(device="D" * 200)),
    Damage("other_device", "device_mismatch", _other_device),
    Damage("empty_metrics", "bad_metrics", _with(metrics={})),
    Damage("words_as_metric", "bad_metrics", _with(metrics={"temperature": "warm"})),
    Damage("null_as_metric", "bad_metrics", _with(metrics={"temperature": None})),
    Damage("many_metrics", "bad_metrics", _with(metrics={f"m{number}": 0 for number in range(MAX_METRICS + 1)})),
    Damage("impossible_date", "bad_ts", _with(ts="2026-02-30 12:00")),
    Damage("words_as_ts", "bad_ts", _with(ts="yesterday")),
    Damage("negative_ts", "bad_ts", _with(ts=-1)),
    Damage("deep", "too_deep", _ending(',"room":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}")),
    Damage("key_twice", "duplicate_key", _ending(',"ts":"2020-01-01 00:00"}')),
)
"""Every kind. Each keeps the document's mark, so that two damaged messages are never the same bytes."""
