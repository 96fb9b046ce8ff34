"""What a peer's validator is told, and the headers that all of them write."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from benchmarks.programs.checks import Invalid, normalise

Headers = list[tuple[str, bytes]]
BATCH = 500


@dataclass(frozen=True)
class Pipeline:
    """Read ``raw`` as ``group``; write ``clean`` and ``dlq``."""

    bootstrap_servers: str
    group: str
    raw: str
    clean: str
    dlq: str


def read_pipeline() -> Pipeline:
    """Return the pipeline that is the first argument, a JSON object."""
    return Pipeline(**json.loads(sys.argv[1]))


@dataclass(frozen=True, slots=True)
class Output:
    """A record to write."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers


def build_output(
    pipeline: Pipeline,
    value: bytes,
    key: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    partition: int,
    offset: int,
) -> Output:
    """Return what becomes of a raw record: the clean one, or a dead letter with the reason."""
    device = next((content.decode() for name, content in headers if name == "device"), None)
    try:
        found, clean = normalise(value, device)
    except Invalid as error:
        marks = [
            ("__connect.errors.topic", pipeline.raw.encode()),
            ("__connect.errors.partition", b"%d" % partition),
            ("__connect.errors.offset", b"%d" % offset),
            ("__connect.errors.exception.class.name", type(error).__name__.encode()),
            ("__connect.errors.exception.message", str(error).encode()),
            ("__connect.errors.stage", b"validate"),
            ("dlq.reason", error.reason.encode()),
            ("dlq.consumer", pipeline.group.encode()),
            ("dlq.attempts", b"1"),
            ("dlq.at", datetime.now(UTC).isoformat().encode()),
        ]
        return Output(pipeline.dlq, key, value, [*headers, *marks])
    place = [
        ("raw_topic", pipeline.raw.encode()),
        ("raw_partition", b"%d" % partition),
        ("raw_offset", b"%d" % offset),
    ]
    return Output(pipeline.clean, found.encode(), clean, [*headers, *place])
