"""What a benchmark leaves behind: NAME.json, rows with machine, versions and date beside them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import confluent_kafka
import orjson

from benchmarks.child import ROOT
from benchmarks.rows import Row
from iothub.servers.jars import kafka_version
from telemetry.timestamps import format_utc

FOLDER = Path(__file__).parent / "results"
_DIGITS = 4


def write_results(
    folder: Path, name: str, rows: Sequence[Row], peers: Mapping[str, str], how: Mapping[str, Any]
) -> Path:
    """Write ``folder``/NAME.json and return its path. ``peers`` are versions; ``how`` says how it was measured."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "date": format_utc(datetime.now(UTC).replace(microsecond=0)),
        "machine": describe_machine(),
        "versions": find_versions() | dict(peers),
        "measured": dict(how),
        "results": [_round(asdict(row)) for row in rows],
    }
    path = folder / f"{name}.json"
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def describe_machine() -> dict[str, Any]:
    """Return what it was measured on."""
    return {
        "processor": _find_processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def find_versions() -> dict[str, str]:
    """Return the versions of what every benchmark uses."""
    return {
        "iot-hub-telemetry": f"{version('iot-hub-telemetry')} {_find_commit()}".strip(),
        "python": platform.python_version(),
        "apache-kafka": kafka_version(),
        "confluent-kafka": str(confluent_kafka.version()),
        "librdkafka": confluent_kafka.libversion()[0],
        "orjson": version("orjson"),
    }


def _find_processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def _find_commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude", "*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip()


def _round(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with as many digits as a noisy machine can answer for."""
    return {name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value for name, value in row.items()}
