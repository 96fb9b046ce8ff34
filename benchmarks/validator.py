"""The validator, raw to clean or dead letter, 1% damaged: ours beside Quix Streams, FastStream and Kafka Streams."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.bench import Bench, run_command
from benchmarks.environments import ASYNCIO, QUIX
from benchmarks.pipeline import (
    faststream_validator,
    fill_raw,
    kafka_streams_validator,
    make_validator,
    our_validator,
    quix_validator,
)
from benchmarks.rows import Goal, Row, build_row, measure_in_turn, per_cpu_second, rate
from iothub.servers.jars import kafka_version

NAME = "validator"
MESSAGES = 400_000
SLOW_MESSAGES = 40_000
"""For those that would take minutes for the others' number; a rate does not depend on it."""
JVM_WARMUP = 600_000
"""Records before the measured ones: Kafka Streams gets until here for its compiler, and neither is charged for it."""
_QUIX, _FASTSTREAM, _STREAMS = "Quix Streams", "FastStream", "Kafka Streams"


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    messages, fewer, warmup = map(bench.scaled, (MESSAGES, SLOW_MESSAGES, JVM_WARMUP))
    raw = fill_raw(bench, warmup + messages)
    bench.peer_versions |= QUIX.find_versions("quixstreams") | ASYNCIO.find_versions("faststream")
    bench.peer_versions["kafka-streams"] = kafka_version()
    found = measure_in_turn(
        {
            "ours": make_validator(bench, "ours", our_validator, raw, warmup=messages // 10, messages=messages),
            _QUIX: make_validator(bench, _QUIX, quix_validator, raw, warmup=fewer // 10, messages=fewer),
            _FASTSTREAM: make_validator(
                bench, _FASTSTREAM, faststream_validator, raw, warmup=fewer // 10, messages=fewer
            ),
            _STREAMS: make_validator(bench, _STREAMS, kafka_streams_validator, raw, warmup=warmup, messages=messages),
        },
        bench.runs,
    )
    readings = {name: [run.reading for run in runs] for name, runs in found.items()}
    rows = [
        build_row(
            NAME,
            "throughput",
            "messages/s",
            [rate(reading) for reading in readings["ours"]],
            peer=peer,
            theirs=[rate(reading) for reading in readings[peer]],
            goal=goal,
        )
        for peer, goal in ((_QUIX, Goal(least_ratio=5)), (_FASTSTREAM, Goal(least_ratio=5)), (_STREAMS, None))
    ]
    return [
        *rows,
        build_row(
            NAME,
            "per CPU second",
            "messages/CPU s",
            [per_cpu_second(reading) for reading in readings["ours"]],
            peer=_STREAMS,
            theirs=[per_cpu_second(reading) for reading in readings[_STREAMS]],
            goal=Goal(least_ratio=1),
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
