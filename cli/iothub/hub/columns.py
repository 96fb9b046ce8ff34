"""The columns of ``iothub get``: the CRD's own ``additionalPrinterColumns``, as kubectl prints them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import yaml

from iothub.resources import find_resource
from telemetry_operator import naming

MISSING = "<none>"
Rows = list[list[str]]

_STEP = re.compile(r"""\.(?P<name>\w+)|\[\?\(@\.(?P<field>\w+)==(?P<quote>["'])(?P<value>.*?)(?P=quote)\)\]""")
_UNITS = ((365 * 86_400, "y"), (86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True)
class Column:
    """A column as the CRD describes it; ``priority`` 0 is always shown, others with ``-o wide``."""

    name: str
    kind: str
    path: str
    priority: int


@cache
def load_columns() -> tuple[Column, ...]:
    """Return the columns of the CRD."""
    crd = yaml.safe_load(find_resource("crds/telemetryconsumer.yaml").read_text("utf-8"))
    version = next(one for one in crd["spec"]["versions"] if one["name"] == naming.VERSION)
    return tuple(
        Column(column["name"], column["type"], column["jsonPath"], column.get("priority", 0))
        for column in version["additionalPrinterColumns"]
    )


def build_consumer_table(
    columns: Iterable[Column], bodies: Sequence[Mapping[str, Any]], *, wide: bool, now: datetime | None = None
) -> tuple[list[str], Rows]:
    """Return the headers and rows for TelemetryConsumers, as kubectl prints them."""
    shown = [column for column in columns if wide or column.priority == 0]
    moment = now or datetime.now(UTC)
    rows = [
        [str(body["metadata"]["name"]), *(_show(column, read_path(body, column.path), moment) for column in shown)]
        for body in bodies
    ]
    return ["name", *(column.name for column in shown)], rows


def build_part_table(parts: Iterable[Mapping[str, Any]]) -> tuple[list[str], Rows]:
    """Return the headers and rows for the hub's parts."""
    fields = ("name", "state", "pid", "restarts", "address", "software")
    return list(fields), [[_text(part[field]) for field in fields] for part in parts]


def read_path(body: Any, path: str) -> Any:
    """Return what the JSONPath of a printer column points at, None where there is nothing.

    Of JSONPath it knows what the API server's columns use: names, and a list's first item whose field has a value.
    """
    place, value = 0, body
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            raise ValueError(f"{path!r} has a step that is not understood: {path[place:]!r}")
        place = step.end()
        if step["name"] is not None:
            value = value.get(step["name"]) if isinstance(value, Mapping) else None
        else:
            items = value if isinstance(value, list) else ()
            value = next((item for item in items if str(item.get(step["field"])) == step["value"]), None)
    return value


def format_age(seconds: float) -> str:
    """Return a duration as kubectl prints ages: its two largest units where the first is small."""
    left = max(0, int(seconds))
    for index, (size, unit) in enumerate(_UNITS):
        if left >= size or unit == "s":
            count, rest = divmod(left, size)
            below = _UNITS[index + 1] if index + 1 < len(_UNITS) else None
            if below is not None and count < 10 and rest // below[0]:
                return f"{count}{unit}{rest // below[0]}{below[1]}"
            return f"{count}{unit}"
    return "0s"


def _show(column: Column, value: Any, now: datetime) -> str:
    if value is None:
        return MISSING if column.kind != "string" else ""
    if column.kind == "date":
        return format_age((now - datetime.fromisoformat(str(value))).total_seconds())
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        # As kubectl prints a list of strings.
        return "[" + ",".join(f'"{item}"' for item in value) + "]"
    return str(value)
