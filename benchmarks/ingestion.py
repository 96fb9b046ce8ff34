"""``python -m benchmarks.ingestion``: every benchmark of ingestion, or those of ``--only``, as one table."""

from __future__ import annotations

import sys

from benchmarks import (
    ingestion_http,
    ingestion_mqtt_drain,
    ingestion_mqtt_latency,
    ingestion_mqtt_memory,
    ingestion_mqtt_window,
)
from benchmarks.bench import Measure, run_chosen

BENCHMARKS: dict[str, Measure] = {
    module.NAME: module.measure
    for module in (
        ingestion_mqtt_drain,
        ingestion_mqtt_latency,
        ingestion_mqtt_window,
        ingestion_mqtt_memory,
        ingestion_http,
    )
}


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    return run_chosen("python -m benchmarks.ingestion", __doc__, BENCHMARKS)


if __name__ == "__main__":
    sys.exit(main())
