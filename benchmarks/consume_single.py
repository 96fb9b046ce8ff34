"""Consume one message at a time, JSON: `KafkaConsumer` beside a bare ``poll()`` loop, FastStream and aiokafka."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.bench import Bench, run_command
from benchmarks.environments import ASYNCIO
from benchmarks.messages import build_pool
from benchmarks.preload import fill_topic
from benchmarks.rows import Goal, Row, build_row, cpu_microseconds, measure_in_turn, rate
from benchmarks.throughput import make_contender

NAME = "consume-single"
MESSAGES = 600_000
SLOW_MESSAGES = 100_000
"""For those that would take minutes for the others' number; a rate does not depend on it."""
_BARE = "bare poll() + orjson"
_GOALS = {_BARE: Goal(least_ratio=0.7), "FastStream": Goal(least_ratio=10), "aiokafka": None}


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    messages, fewer = bench.scaled(MESSAGES), bench.scaled(SLOW_MESSAGES)
    topic = f"bench-valid-{messages}"
    fill_topic(bench.kafka, topic, build_pool(), messages + messages // 5)
    bench.peer_versions |= ASYNCIO.find_versions("faststream", "aiokafka")
    python = ASYNCIO.python
    found = measure_in_turn(
        {
            "ours": make_contender(bench, "our_consume", topic, messages=messages, arguments=("single",)),
            _BARE: make_contender(bench, "bare_poll", topic, messages=messages),
            "FastStream": make_contender(bench, "faststream_consume", topic, messages=fewer, python=python),
            "aiokafka": make_contender(bench, "aiokafka_consume", topic, messages=messages, python=python),
        },
        bench.runs,
    )
    ours = found.pop("ours")
    rows = [
        build_row(
            NAME,
            "throughput",
            "messages/s",
            [rate(reading) for reading in ours],
            peer=peer,
            theirs=[rate(reading) for reading in readings],
            goal=_GOALS[peer],
        )
        for peer, readings in found.items()
    ]
    return [
        *rows,
        build_row(
            NAME,
            "CPU time",
            "µs/message",
            [cpu_microseconds(reading) for reading in ours],
            peer=_BARE,
            theirs=[cpu_microseconds(reading) for reading in found[_BARE]],
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
