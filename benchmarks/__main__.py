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
from benchmarks.bench import Measure, run_chosen

BENCHMARKS: dict[str, Measure] = {
    module.NAME: module.measure
    for module in (consume_batch, consume_single, produce, validator, validator_cost, memory, crash_recovery)
}


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    return run_chosen("python -m benchmarks", __doc__, BENCHMARKS)


if __name__ == "__main__":
    sys.exit(main())
