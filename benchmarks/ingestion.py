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
from benchmarks.bench import Measure, make_parser, read_options, run_benchmarks

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
    parser = make_parser("python -m benchmarks.ingestion", __doc__)
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}"
    )
    arguments = parser.parse_args()
    chosen = {name: measure for name, measure in BENCHMARKS.items() if name in (arguments.only or BENCHMARKS)}
    return run_benchmarks(chosen, read_options(arguments))


if __name__ == "__main__":
    sys.exit(main())
