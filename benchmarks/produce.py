"""Produce keyed dicts with a callback for each: `KafkaProducer` beside bare ``produce()`` of the same bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from benchmarks.bench import Bench, run_command
from benchmarks.rows import Goal, Reading, Row, build_row, cpu_microseconds, measure_in_turn, rate
from benchmarks.throughput import make_contender

NAME = "produce"
MESSAGES = 800_000
_BARE = "bare produce() + orjson"


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    found = measure_in_turn(
        {"ours": _into_new_topic(bench, "our_produce"), _BARE: _into_new_topic(bench, "bare_produce")}, bench.runs
    )
    ours, bare = found["ours"], found[_BARE]
    return [
        build_row(
            NAME,
            "throughput",
            "messages/s",
            [rate(reading) for reading in ours],
            peer=_BARE,
            theirs=[rate(reading) for reading in bare],
            goal=Goal(least_ratio=0.8),
        ),
        build_row(
            NAME,
            "CPU time",
            "µs/message",
            [cpu_microseconds(reading) for reading in ours],
            peer=_BARE,
            theirs=[cpu_microseconds(reading) for reading in bare],
        ),
    ]


def _into_new_topic(bench: Bench, program: str) -> Callable[[], Reading]:
    def run() -> Reading:
        topic = bench.new_name("produced")
        bench.kafka.make_topics(topic)
        try:
            return make_contender(bench, program, topic, messages=bench.scaled(MESSAGES))()
        finally:
            bench.kafka.delete_topics(topic)

    return run


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
