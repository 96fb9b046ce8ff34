"""Ingestion's memory (resident set size) under a load of 80% of its most, for 20 minutes: does it grow?"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Final

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed, wait_until
from benchmarks.ingestion_mqtt_broker import started_mosquitto
from benchmarks.ingestion_mqtt_contenders import Place, build_ours
from benchmarks.ingestion_mqtt_drain import make_drain
from benchmarks.ingestion_mqtt_pace import PacedBroker
from benchmarks.messages import build_pool
from benchmarks.rows import Goal, Row, build_row, rate

NAME: Final = "ingestion-mqtt-memory"
SECONDS = 1200.0
LOAD = 0.8
_WINDOW = 1000
_START_SECONDS = 60.0
_SHORTEST = 10.0


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows. The most is what a drain of a waiting session reaches; it is measured once, not per run."""
    with started_mosquitto(bench) as port:
        most = rate(make_drain(bench, port, build_ours)().reading)
    samples = _watch(bench, LOAD * most)
    quarter = max(1, len(samples) // 4)
    first, last = median(samples[:quarter]), median(samples[-quarter:])
    return [
        build_row(NAME, "load", "messages/s", [LOAD * most]),
        build_row(NAME, "most", "MiB", [max(samples)], goal=Goal(most=120)),
        build_row(NAME, "growth, last quarter less first", "MiB", [last - first], goal=Goal(most=5)),
    ]


def _watch(bench: Bench, load: float) -> list[float]:
    """Return the memory of each second, in MiB, warm-up left out."""
    topic, dlq = bench.new_name("raw"), bench.new_name("dlq")
    bench.kafka.make_topics(topic, dlq)
    samples: list[float] = []
    try:
        with PacedBroker(build_pool(), rate=load, window=_WINDOW) as broker:
            contender = build_ours(Place(broker.port, bench.kafka.bootstrap_servers, topic, dlq, _WINDOW))
            with contender.start(bench) as child:
                wait_until(broker.subscribed.is_set, seconds=_START_SECONDS, what="ingestion to subscribe")
                end = time.monotonic() + max(_SHORTEST, SECONDS * bench.scale)
                while time.monotonic() < end:
                    time.sleep(1)
                    child.check()
                    broker.check()
                    samples.append(child.measure_memory())
                acknowledged = len(broker.paced.seconds)
    finally:
        bench.kafka.delete_topics(topic, dlq)
    if not acknowledged:
        raise BenchmarkFailed("ingestion has acknowledged nothing")
    bench.say(f"ours: {acknowledged} messages, {samples[0]:.0f} to {samples[-1]:.0f} MiB, at most {max(samples):.0f}")
    return samples[len(samples) // 10 :]


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
