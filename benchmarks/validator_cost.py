"""The validator's cost of one message: CPU time of the whole process, all of its threads, divided by the messages."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.bench import Bench, run_command
from benchmarks.pipeline import fill_raw, make_validator, our_validator
from benchmarks.rows import Goal, Row, build_row, cpu_microseconds, measure_in_turn

NAME = "validator-cost"
MESSAGES = 500_000


def measure(bench: Bench) -> Sequence[Row]:
    """Return the row."""
    messages = bench.scaled(MESSAGES)
    raw = fill_raw(bench, messages + messages // 10)
    runs = measure_in_turn(
        {"ours": make_validator(bench, "ours", our_validator, raw, warmup=messages // 10, messages=messages)},
        bench.runs,
    )
    costs = [cpu_microseconds(run.reading) for run in runs["ours"]]
    return [build_row(NAME, "CPU time", "µs/message", costs, goal=Goal(most=12))]


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
