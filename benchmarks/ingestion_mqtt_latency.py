"""How long a message waits for its acknowledgement at a steady 5,000 a second: ours beside Telegraf and mq-bridge."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed, wait_until
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
from benchmarks.ingestion_mqtt_pace import PacedBroker
from benchmarks.messages import build_pool
from benchmarks.rows import Row, build_row, measure_in_turn

NAME: Final = "ingestion-mqtt-latency"
RATE = 5000
SECONDS = 20.0
_WARMUP_SECONDS = 3.0
_START_SECONDS = 60.0
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a message's sending to its acknowledgement, by quantile, and messages that had to wait."""

    quantiles: dict[str, float]
    held_back: int


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    bench.peer_versions |= find_peer_versions()
    builds: dict[str, Callable[[Place], Contender]] = {
        "ours": build_ours,
        TELEGRAF: lambda place: build_telegraf(bench, place),
        MQ_BRIDGE: lambda place: build_mq_bridge(bench, place),
    }
    found = measure_in_turn({name: make_pace(bench, build) for name, build in builds.items()}, bench.runs)
    return [
        _build_latency_row(name, found["ours"], peer, found[peer])
        for peer in (TELEGRAF, MQ_BRIDGE)
        for name in _QUANTILES
    ]


def _build_latency_row(name: str, ours: Sequence[Latency], peer: str, theirs: Sequence[Latency]) -> Row:
    row = build_row(
        NAME,
        f"acknowledged after, {name}",
        "ms",
        [latency.quantiles[name] for latency in ours],
        peer=peer,
        theirs=[latency.quantiles[name] for latency in theirs],
    )
    # Less is better here.
    return replace(row, goal="≤ 1 x", holds=row.ratio is not None and row.ratio <= 1) if name == "p99" else row


def make_pace(
    bench: Bench,
    build: Callable[[Place], Contender],
    *,
    rate: float = RATE,
    window: int = 1000,
    linger_ms: float | None = None,
) -> Callable[[], Latency]:
    """Return what has a contender take messages at a steady rate, once."""

    def run() -> Latency:
        topic, dlq = bench.new_name("raw"), bench.new_name("dlq")
        bench.kafka.make_topics(topic, dlq)
        try:
            with PacedBroker(build_pool(), rate=rate, window=window) as broker:
                place = Place(broker.port, bench.kafka.bootstrap_servers, topic, dlq, window, linger_ms)
                contender = build(place)
                with contender.start(bench) as child:
                    wait_until(broker.subscribed.is_set, seconds=_START_SECONDS, what=f"{contender.name} to subscribe")
                    time.sleep(_WARMUP_SECONDS)
                    first, late = len(broker.paced.seconds), broker.paced.held_back
                    time.sleep(max(2.0, SECONDS * bench.scale))
                    child.check()
                    broker.check()
                    seconds = sorted(broker.paced.seconds[first:])
                    held_back = broker.paced.held_back - late
        finally:
            bench.kafka.delete_topics(topic, dlq)
        if not seconds:
            raise BenchmarkFailed(f"{contender.name} has acknowledged nothing")
        found = {name: 1000 * seconds[int(share * (len(seconds) - 1))] for name, share in _QUANTILES.items()}
        shown = ", ".join(f"{name} {value:.1f} ms" for name, value in found.items())
        bench.say(f"{contender.name}: {shown}, {len(seconds)} messages, {held_back} held back by a full window")
        return Latency(found, held_back)

    return run


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
