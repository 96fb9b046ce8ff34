"""From SIGKILL of one of three workers until all six partitions move again, under a steady stream of messages.

A partition moves again with the first clean record of a raw one that was sent after the kill: the dead worker can't
have written it. What is reported is the slowest partition's.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed, Child, wait_until
from benchmarks.kafka import PARTITIONS
from benchmarks.pipeline import our_validator
from benchmarks.probes import is_ready
from benchmarks.programs.pipeline import Pipeline
from benchmarks.rows import Goal, Row, build_row, measure_in_turn
from benchmarks.stream import Arrivals, Stream
from consumers.config import ConsumerConfig
from iothub.servers.ports import free_port

NAME = "crash-recovery"
WORKERS = 3
_HEARTBEAT_MS = 1000
_READY_SECONDS = 60.0
_FLOWING_SECONDS = 60.0
_MARGIN_SECONDS = 2.0
_LIMIT_SECONDS = 60.0


def measure(bench: Bench) -> Sequence[Row]:
    """Return the row."""
    config = ConsumerConfig(bootstrap_servers=bench.kafka.bootstrap_servers, heartbeat_interval_ms=_HEARTBEAT_MS)
    session = config.session_timeout_ms / 1000
    found = measure_in_turn({"ours": lambda: _kill_one(bench, session)}, bench.runs)
    goal = Goal(most=session + _MARGIN_SECONDS)
    return [build_row(NAME, "SIGKILL to all moving", "s", found["ours"], goal=goal)]


def _kill_one(bench: Bench, session: float) -> float:
    """Return how many seconds it took until every partition moved again."""
    raw, clean, dlq = (bench.new_name(name) for name in ("raw", "clean", "dlq"))
    bench.kafka.make_topics(raw, clean, dlq)
    pipeline = Pipeline(bench.kafka.bootstrap_servers, bench.new_name("group"), raw, clean, dlq)
    try:
        with ExitStack() as stack:
            workers = [_start_worker(bench, pipeline, stack, number) for number in range(WORKERS)]
            stack.enter_context(Stream(pipeline))
            arrivals = stack.enter_context(Arrivals(pipeline))
            for _, port in workers:
                wait_until(partial(is_ready, port), seconds=_READY_SECONDS, what="three workers to be ready")
            _wait_until_shared(arrivals)
            killed = time.time()
            workers[0][0].kill()
            recovered = _wait_until_moving(arrivals, killed)
    finally:
        bench.kafka.delete_topics(raw, clean, dlq)
    took = max(recovered.values()) - killed
    waited = sum(at - killed > session / 2 for at in recovered.values())
    bench.say(f"{took:.2f} s until all moved; {waited} of {PARTITIONS} partitions were the dead worker's")
    if not waited:
        raise BenchmarkFailed("no partition was the killed worker's")
    return took


def _start_worker(bench: Bench, pipeline: Pipeline, stack: ExitStack, number: int) -> tuple[Child, int]:
    port = free_port()
    call = our_validator(pipeline)
    environment = call.environment | {
        "HTTP_PORT": str(port),
        "KAFKA_HEARTBEAT_INTERVAL_MS": str(_HEARTBEAT_MS),
        "CONSUMER_TIMEOUT_SECONDS": "0.2",
    }
    name = f"worker-{number}"
    return stack.enter_context(Child(name, call.command, environment=environment, log=bench.log(name))), port


def _wait_until_shared(arrivals: Arrivals) -> None:
    """Return once the group is calm: every partition has moved within the last second, three seconds in a row."""
    calm_since = time.time()

    def is_calm() -> bool:
        nonlocal calm_since
        now = time.time()
        if len(arrivals.last) < PARTITIONS or min(arrivals.last.values()) < now - 1:
            calm_since = now
        return now - calm_since > 3

    wait_until(is_calm, seconds=_FLOWING_SECONDS, what="all partitions to flow")


def _wait_until_moving(arrivals: Arrivals, killed: float) -> dict[int, float]:
    """Return, of each partition, when its first message that was sent after ``killed`` arrived."""
    arrivals.expect_after(killed)
    wait_until(
        lambda: len(arrivals.first) == PARTITIONS, seconds=_LIMIT_SECONDS, what="all partitions to move after the kill"
    )
    return dict(arrivals.first)


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
