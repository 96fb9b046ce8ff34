#!/usr/bin/env python3
"""Writes the tables of docs/workers.md, settings and metrics, from the code that reads and counts them.

hack/worker-docs.py            writes them
hack/worker-docs.py --check    fails where they are not what would be written; a part of `make check`
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from consumers.config import ConsumerConfig
from consumers.settings import WorkerSettings
from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.call_histograms import CallHistograms
from telemetry.kafka_config import KafkaConfig
from telemetry.names import TopicName
from telemetry.process import ProcessSettings
from telemetry.settings import variable_name

PAGE = Path(__file__).parent.parent / "docs" / "workers.md"

SETTINGS: Sequence[tuple[type[BaseSettings], str]] = (
    (WorkerSettings, "The worker"),
    (KafkaConfig, "Every Kafka client"),
    (ConsumerConfig, "Consumers"),
    (ProducerConfig, "Producers"),
    (ProcessSettings, "The process"),
)


def main() -> int:
    """Write the page, or check it."""
    before = PAGE.read_text("utf-8")
    after = fill(fill(before, "settings", build_settings()), "metrics", build_metrics())
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(after, "utf-8")
        return 0
    if after != before:
        sys.stderr.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "is", "should be"))
        sys.stderr.write(f"worker-docs: the tables of {PAGE.name} are not what the code says: run 'make docs'\n")
        return 1
    return 0


def fill(page: str, name: str, text: str) -> str:
    """Return ``page`` with ``text`` between the comments that enclose what is made."""
    begin, end = f"<!-- {name}: made by hack/worker-docs.py -->\n", f"<!-- end of {name} -->"
    head, found_begin, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        sys.exit(f"worker-docs: {PAGE.name} has no place for the {name}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def build_settings() -> str:
    """Return a table for each class of settings, without the fields that another one has already."""
    parts = []
    seen: set[str] = set()
    for cls, title in SETTINGS:
        meanings = read_meanings(cls)
        rows = [
            (f"`{variable_name(cls, name)}`", describe_type(field), describe_default(field), meanings[name])
            for name, field in cls.model_fields.items()
            if variable_name(cls, name) not in seen
        ]
        seen |= {row[0].strip("`") for row in rows}
        parts.append(f"**{title}**\n\n{build_table(('variable', 'takes', 'default', 'meaning'), rows)}")
    return "\n".join(parts)


def read_meanings(cls: type[BaseSettings]) -> dict[str, str]:
    """Return what the text under each field says, base classes included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseSettings) and base is not BaseSettings:
            (definition,) = ast.parse(dedent(inspect.getsource(base))).body
            lines = definition.body if isinstance(definition, ast.ClassDef) else []
            for field, text in pairwise(lines):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                        found[name] = " ".join(meaning.replace("``", "`").split())
    variables = {f"`{name}`": f"`{variable_name(cls, name)}`" for name in cls.model_fields}
    return {name: re.sub(r"`\w+`", lambda word: variables.get(word[0], word[0]), text) for name, text in found.items()}


def describe_type(field: FieldInfo) -> str:
    """Return what a field takes, in words and bounds."""
    kinds = [describe_kind(kind) for kind in split_union(field.annotation)]
    lowest = highest = ""
    for limit in field.metadata:
        match limit:
            case annotated_types.Ge(ge=value):
                lowest = f" from {value}"
            case annotated_types.Gt(gt=value):
                lowest = f" above {value},"
            case annotated_types.Le(le=value):
                highest = f" to {value}"
    return f"{', '.join(filter(None, kinds))}{lowest}{highest}"


def describe_kind(kind: Any) -> str:
    """Return the word for one type."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if kind == TopicName:
        return "a topic"
    if get_origin(kind) is tuple:
        return f"{describe_kind(get_args(kind)[0]).removeprefix('a ')}s, comma-separated"
    if get_origin(kind) is dict:
        return "a JSON object"
    words: dict[Any, str] = {
        bool: "`true`, `false`",
        int: "an integer",
        float: "a number",
        str: "a text",
        SecretStr: "a secret",
        datetime: "an RFC 3339 time",
        type(None): "",
    }
    return words[kind]


def split_union(annotation: Any) -> Iterator[Any]:
    """Yield the types that a field may have."""
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from split_union(part)
    elif get_origin(annotation) is Annotated and annotation != TopicName:
        yield from split_union(get_args(annotation)[0])
    else:
        yield annotation


def describe_default(field: FieldInfo) -> str:
    """Return the default as it would be written into the environment."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or value == {}:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def build_metrics() -> str:
    """Return the table of all metrics."""
    rows: list[tuple[str, str, str, str]] = []
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            rows.append((name, family.type, ", ".join(metric._labelnames), family.documentation))
        elif isinstance(metric, CallHistograms):
            rows += [(spec.name, "histogram", "", spec.documentation) for spec in metric.specs]
    return build_table(("metric", "kind", "labels", "meaning"), [(f"`{row[0]}`", *row[1:]) for row in rows])


def build_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
