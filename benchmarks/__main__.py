"""``python -m benchmarks``: every benchmark of the workers, or those of ``--only``, on one Kafka, as one table."""

from __future__ import annotations

import sys

from benchmarks import (
    consume_batch,
    consume_single,
    crash_recovery,
    memory,
    produce,
    validator,
    validator_cost,
)
from benchmarks.bench import Measure, make_parser, read_options, run_benchmarks

BENCHMARKS: dict[str, Measure] = {
    module.NAME: module.measure
    for module in (consume_batch, consume_single, produce, validator, validator_cost, memory, crash_recovery)
}


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    parser = make_parser("python -m benchmarks", __doc__)
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}"
    )
    arguments = parser.parse_args()
    chosen = {name: measure for name, measure in BENCHMARKS.items() if name in (arguments.only or BENCHMARKS)}
    return run_benchmarks(chosen, read_options(arguments))


if __name__ == "__main__":
    sys.exit(main())
