"""``python -m benchmarks.operator``: every benchmark of the operator, or those of ``--only``, as one table."""

from __future__ import annotations

import sys

from benchmarks import operator_burst, operator_calls, operator_change, operator_idle
from benchmarks.bench import Measure, run_chosen

BENCHMARKS: dict[str, Measure] = {
    module.NAME: module.measure for module in (operator_burst, operator_change, operator_calls, operator_idle)
}


def main() -> int:
    """Run what the command line asks for and return the exit code."""
    return run_chosen("python -m benchmarks.operator", __doc__, BENCHMARKS)


if __name__ == "__main__":
    sys.exit(main())
