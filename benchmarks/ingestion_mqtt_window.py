"""Receive window x linger: how fast ingestion drains a session, and how long a message waits at a steady pace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed
from benchmarks.ingestion_mqtt_broker import started_mosquitto
from benchmarks.ingestion_mqtt_contenders import build_ours
from benchmarks.ingestion_mqtt_drain import MESSAGES, Drain, make_drain
from benchmarks.ingestion_mqtt_latency import make_pace
from benchmarks.rows import Row, build_row, measure_in_turn, rate

NAME: Final = "ingestion-mqtt-window"
WINDOWS = (20, 100, 1000)
LINGERS = (0.0, 5.0, 50.0)
_DRAIN_SECONDS, _ANSWER_SECONDS = 10.0, 0.005
"""How long a drain is to take, where Kafka answers within so long."""
_PACE = 200
"""Messages a second while their latency is looked at: fewer than the smallest window and longest linger let through."""


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    points = [(window, linger) for window in WINDOWS for linger in LINGERS]
    with started_mosquitto(bench) as port:
        if bench.peer_versions["mosquitto"].startswith("2.0."):
            raise BenchmarkFailed("mosquitto 2.0 sends more than the window once acknowledgements come: take 2.1")
        drains = measure_in_turn({str(point): _make_drain(bench, port, *point) for point in points}, bench.runs)
    paces = measure_in_turn(
        {str(point): make_pace(bench, build_ours, rate=_PACE, window=point[0], linger_ms=point[1]) for point in points},
        bench.runs,
    )
    rows = []
    for window, linger in points:
        point = f"window {window}, linger {linger:g} ms"
        runs = drains[str((window, linger))]
        rows.append(build_row(NAME, f"{point}: drain", "messages/s", [rate(run.reading) for run in runs]))
        latencies = [latency.quantiles["p99"] for latency in paces[str((window, linger))]]
        rows.append(build_row(NAME, f"{point}: acknowledged after, p99", "ms", latencies))
    return rows


def _make_drain(bench: Bench, port: int, window: int, linger: float) -> Callable[[], Drain]:
    # A small window has each batch wait for the linger to end.
    messages = min(MESSAGES, round(_DRAIN_SECONDS * window / (linger / 1000 + _ANSWER_SECONDS)))
    return make_drain(bench, port, build_ours, messages=messages, window=window, linger_ms=linger)


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
