"""Drain what waits in a persistent session into Kafka (acks=all): ours beside Telegraf and mq-bridge."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed
from benchmarks.ingestion_mqtt_broker import end_session, make_session, started_mosquitto
from benchmarks.ingestion_mqtt_contenders import (
    MQ_BRIDGE,
    TELEGRAF,
    Contender,
    Place,
    build_mq_bridge,
    build_ours,
    build_telegraf,
    find_peer_versions,
)
from benchmarks.ingestion_mqtt_publisher import publish
from benchmarks.messages import build_pool
from benchmarks.rows import Goal, Reading, Row, build_row, cpu_microseconds, measure_in_turn, rate

NAME: Final = "ingestion-mqtt-drain"
MESSAGES = 120_000
_LOOK_SECONDS = 0.05
_SECONDS = 120.0

Build = Callable[[Place], Contender]


@dataclass(frozen=True, slots=True)
class Drain:
    """What a run took, the start left out, and the most memory meanwhile, in MiB."""

    reading: Reading
    memory: float


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    bench.peer_versions |= find_peer_versions()
    builds: dict[str, Build] = {
        "ours": build_ours,
        TELEGRAF: lambda place: build_telegraf(bench, place),
        MQ_BRIDGE: lambda place: build_mq_bridge(bench, place),
    }
    with started_mosquitto(bench) as port:
        found = measure_in_turn({name: make_drain(bench, port, build) for name, build in builds.items()}, bench.runs)
    ours = [run.reading for run in found["ours"]]
    rows = []
    for peer in (TELEGRAF, MQ_BRIDGE):
        theirs = [run.reading for run in found[peer]]
        rows.append(
            build_row(
                NAME,
                "throughput",
                "messages/s",
                [rate(reading) for reading in ours],
                peer=peer,
                theirs=[rate(reading) for reading in theirs],
                goal=Goal(least_ratio=1),
            )
        )
        rows.append(
            build_row(
                NAME,
                "per CPU second",
                "messages/CPU s",
                [1e6 / cpu_microseconds(reading) for reading in ours],
                peer=peer,
                theirs=[1e6 / cpu_microseconds(reading) for reading in theirs],
                goal=Goal(least_ratio=1) if peer == TELEGRAF else None,
            )
        )
        rows.append(
            build_row(
                NAME,
                "memory",
                "MiB",
                [run.memory for run in found["ours"]],
                peer=peer,
                theirs=[run.memory for run in found[peer]],
            )
        )
    rows.append(build_row(NAME, "CPU time", "µs/message", [cpu_microseconds(reading) for reading in ours]))
    return rows


def make_drain(
    bench: Bench,
    port: int,
    build: Build,
    *,
    messages: int = MESSAGES,
    window: int = 1000,
    linger_ms: float | None = None,
) -> Callable[[], Drain]:
    """Return what fills a session with ``messages`` (at full scale) and has the contender drain it, once."""
    messages = bench.scaled(messages)
    pool = build_pool()

    def run() -> Drain:
        topic, dlq = bench.new_name("raw"), bench.new_name("dlq")
        bench.kafka.make_topics(topic, dlq)
        contender = build(Place(port, bench.kafka.bootstrap_servers, topic, dlq, window, linger_ms))
        try:
            end_session(port, contender)
            make_session(port, contender)
            publish(port, pool, messages)
            found = _watch(bench, contender, topic, messages)
        finally:
            end_session(port, contender)
            bench.kafka.delete_topics(topic, dlq)
        bench.say(
            f"{contender.name}: {rate(found.reading):,.0f}/s, {cpu_microseconds(found.reading):.1f} µs of CPU a "
            f"message, at most {found.memory:.0f} MiB"
        )
        return found

    return run


def _watch(bench: Bench, contender: Contender, topic: str, messages: int) -> Drain:
    """Start the contender and return what it takes from its first hundredth of the messages to the last one."""
    started: tuple[int, float, float] | None = None
    memory = 0.0
    deadline = time.monotonic() + _SECONDS
    with contender.start(bench) as child:
        while time.monotonic() < deadline:
            child.check()
            written = bench.kafka.count_messages([topic])[topic]
            now, cpu = time.monotonic(), child.measure_cpu()
            memory = max(memory, child.measure_memory())
            if started is None and written >= messages // 100:
                started = (written, now, cpu)
            if written >= messages:
                if started is None or started[0] == written:
                    raise BenchmarkFailed(f"{messages} messages are too few: {contender.name} was done at once")
                return Drain(Reading(written - started[0], now - started[1], cpu - started[2]), memory)
            time.sleep(_LOOK_SECONDS)
    raise BenchmarkFailed(f"{contender.name} wrote only {written} of {messages} messages in {_SECONDS:.0f} s")


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
