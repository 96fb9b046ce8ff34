"""HTTP ingestion beside a FastAPI service with aiokafka: requests of one message and of 100, on 64 connections.

Both answer 202 once Kafka has all of a body (acks=all, idempotent). Load, service and Kafka share the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.bench import Bench, run_command
from benchmarks.child import Child, wait_until
from benchmarks.environments import PeerEnvironment
from benchmarks.ingestion_http_load import Reading, apply_load
from benchmarks.rows import Goal, Row, build_row, measure_in_turn
from iothub.servers.ports import free_port

NAME: Final = "ingestion-http"
CONNECTIONS = 64
BATCHES = (1, 100)
_WARM_UP, _SECONDS = 3.0, 10.0
_START_SECONDS = 30.0
_PEER = "FastAPI + aiokafka"
_FASTAPI = PeerEnvironment("fastapi")


Start = Callable[[Bench, str, int, int], Child]


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    bench.peer_versions |= _FASTAPI.find_versions("fastapi", "aiokafka", "uvicorn", "uvloop")
    return [row for batch in BATCHES for row in _measure_batch(bench, batch)]


def _measure_batch(bench: Bench, batch: int) -> list[Row]:
    bench.say(f"{batch} a request")
    contenders = {"ours": _make_run(bench, _start_ours, batch), _PEER: _make_run(bench, _start_peer, batch)}
    found = measure_in_turn(contenders, bench.runs)
    ours, theirs = found["ours"], found[_PEER]
    what = "single" if batch == 1 else f"batches of {batch}"
    rows = [
        build_row(
            NAME,
            f"{what}: throughput",
            "requests/s",
            [reading.rate for reading in ours],
            peer=_PEER,
            theirs=[reading.rate for reading in theirs],
            goal=Goal(least_ratio=3),
        )
    ]
    reports: dict[tuple[str, str], Callable[[Reading], float]] = {
        ("latency p50", "ms"): lambda reading: 1e3 * reading.p50,
        ("latency p99", "ms"): lambda reading: 1e3 * reading.p99,
        ("CPU time of the service", "µs/message"): lambda reading: 1e6 * reading.cpu_seconds / batch,
    }
    for (metric, unit), read in reports.items():
        mine, other = [read(reading) for reading in ours], [read(reading) for reading in theirs]
        rows.append(build_row(NAME, f"{what}: {metric}", unit, mine, peer=_PEER, theirs=other))
    return rows


def _make_run(bench: Bench, start: Start, batch: int) -> Callable[[], Reading]:
    def run() -> Reading:
        topic = bench.new_name("http")
        bench.kafka.make_topics(topic)
        port, health = free_port(), free_port()
        try:
            with start(bench, topic, port, health) as service:
                _wait_until_ready(service, health if start is _start_ours else port)
                return _load(bench, service, port, batch)
        finally:
            bench.kafka.delete_topics(topic)

    return run


def _load(bench: Bench, service: Child, port: int, batch: int) -> Reading:
    return apply_load(
        port,
        connections=CONNECTIONS,
        batch=batch,
        warm_up=_WARM_UP,
        seconds=max(2.0, _SECONDS * bench.scale),
        read_cpu=service.measure_cpu,
    )


def _start_ours(bench: Bench, topic: str, port: int, health: int) -> Child:
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bench.kafka.bootstrap_servers,
        "INGESTION_TOPIC": topic,
        "INGESTION_HTTP_PORT": str(port),
        "HTTP_PORT": str(health),
    }
    return Child("ours", [sys.executable, "-m", "ingestion.http"], log=bench.log("ours"), environment=environment)


def _start_peer(bench: Bench, topic: str, port: int, _: int) -> Child:
    words = [bench.kafka.bootstrap_servers, topic, str(port)]
    command = [str(_FASTAPI.python), "-m", "benchmarks.ingestion_http_peer", *words]
    return Child(_PEER, command, log=bench.log("peer"))


def _wait_until_ready(service: Child, port: int) -> None:
    def answers() -> bool:
        service.check()
        try:
            with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    wait_until(answers, seconds=_START_SECONDS, what=f"{service.name} to answer")


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
