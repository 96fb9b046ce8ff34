"""The worker's memory (resident set size): idle in its group, and draining six partitions as fast as it can."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from benchmarks.bench import Bench, run_command
from benchmarks.child import Child, wait_until
from benchmarks.pipeline import fill_raw, make_validator, our_validator
from benchmarks.probes import is_ready
from benchmarks.programs.pipeline import Pipeline
from benchmarks.rows import Goal, Row, build_row, measure_in_turn
from iothub.servers.ports import free_port

NAME = "memory"
MESSAGES = 500_000
_READY_SECONDS = 60.0
_IDLE_SECONDS = 5.0
"""From ready to the look: what is imported or connected late is there by then."""


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    messages = bench.scaled(MESSAGES)
    raw = fill_raw(bench, messages + messages // 10)
    found = measure_in_turn(
        {
            "idle": lambda: _measure_idle(bench),
            "busy": lambda: (
                make_validator(bench, "ours", our_validator, raw, warmup=messages // 10, messages=messages)().memory
            ),
        },
        bench.runs,
    )
    return [
        build_row(NAME, "idle", "MiB", found["idle"], goal=Goal(most=60)),
        build_row(NAME, "full speed, 6 partitions", "MiB", found["busy"], goal=Goal(most=150)),
    ]


def _measure_idle(bench: Bench) -> float:
    """Return the memory of a validator that has its partitions and nothing to do."""
    topics = [bench.new_name(name) for name in ("raw", "clean", "dlq")]
    bench.kafka.make_topics(*topics)
    port = free_port()
    call = our_validator(Pipeline(bench.kafka.bootstrap_servers, bench.new_name("group"), *topics))
    environment = call.environment | {"HTTP_PORT": str(port)}
    try:
        with Child("idle", call.command, environment=environment, log=bench.log("idle")) as child:
            wait_until(lambda: is_ready(port), seconds=_READY_SECONDS, what="the idle worker to be ready")
            time.sleep(_IDLE_SECONDS)
            child.check()
            memory = child.measure_memory()
    finally:
        bench.kafka.delete_topics(*topics)
    bench.say(f"idle: {memory:.1f} MiB")
    return memory


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
