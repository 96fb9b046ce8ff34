"""Consume in batches of 500, JSON, a handler that counts: `KafkaConsumer` beside a bare ``consume()`` loop.

Once on messages without headers, and once on messages with the five that ingestion writes: `KafkaConsumer` has to look
at them (a replay for another group is none of its business), the bare loop does not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.bench import Bench, run_command
from benchmarks.messages import build_pool
from benchmarks.preload import fill_topic
from benchmarks.rows import Goal, Reading, Row, build_row, cpu_microseconds, measure_in_turn, rate
from benchmarks.throughput import make_contender

NAME = "consume-batch"
MESSAGES = 1_000_000
_BARE = "bare consume() + orjson"


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    return [*_measure(bench, "no headers", headers=False), *_measure(bench, "5 headers", headers=True)]


def _measure(bench: Bench, what: str, *, headers: bool) -> list[Row]:
    messages = bench.scaled(MESSAGES)
    topic = f"bench-{'valid' if headers else 'plain'}-{messages}"
    # A tenth is the warm-up, and the last batch may begin just before the end.
    fill_topic(bench.kafka, topic, build_pool(), messages + messages // 8 + 1000, headers=headers)
    found = measure_in_turn(
        {
            "ours": make_contender(bench, "our_consume", topic, messages=messages, arguments=("batch",)),
            _BARE: make_contender(bench, "bare_consume", topic, messages=messages),
        },
        bench.runs,
    )
    return _build_rows(what, found["ours"], found[_BARE])


def _build_rows(what: str, ours: Sequence[Reading], bare: Sequence[Reading]) -> list[Row]:
    return [
        build_row(
            NAME,
            f"throughput, {what}",
            "messages/s",
            [rate(reading) for reading in ours],
            peer=_BARE,
            theirs=[rate(reading) for reading in bare],
            goal=Goal(least_ratio=0.9),
        ),
        build_row(
            NAME,
            f"CPU time, {what}",
            "µs/message",
            [cpu_microseconds(reading) for reading in ours],
            peer=_BARE,
            theirs=[cpu_microseconds(reading) for reading in bare],
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
