"""What the operator takes while nothing happens: memory with 0, 100 and 500 TelemetryConsumers, CPU time with 500."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.bench import Bench, run_command
from benchmarks.child import Child
from benchmarks.operator_cluster import Cluster, build_names, until
from benchmarks.operator_contenders import OURS, PEER, Build, build_both, make_spec
from benchmarks.rows import Goal, Row, build_row, measure_in_turn
from telemetry_operator.api import CONSUMERS

NAME = "operator-idle"
MOST_MIB = {0: 90.0, 100: 120.0, 500: 220.0}
"""The goals, by the number of TelemetryConsumers."""
MOST_PERCENT = 3.0
CPU_SECONDS = 180.0
"""How long CPU time is counted: three rounds of what comes about once a minute."""
QUIET_SECONDS = 30.0
"""From the last thing that happened to the look at the memory: a pass, and a look at Kafka."""
_SETTLE_SECONDS = 300.0


@dataclass
class Idle:
    """What one run saw."""

    memory: dict[int, float] = field(default_factory=dict)
    """MiB by the number of TelemetryConsumers."""
    percent: float = 0.0
    """CPU time with the most of them, of one core's."""


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    spec = make_spec(bench)
    found = measure_in_turn(
        {name: partial(_run, bench, name, build, spec) for name, build in build_both(bench).items()}, bench.runs
    )
    rows = [
        build_row(
            NAME,
            f"memory, {count} TelemetryConsumers",
            "MiB",
            [idle.memory[count] for idle in found[OURS]],
            peer=PEER,
            theirs=[idle.memory[count] for idle in found[PEER]],
            goal=Goal(most=most),
        )
        for count, most in MOST_MIB.items()
    ]
    percent = {name: [idle.percent for idle in idles] for name, idles in found.items()}
    return [
        *rows,
        build_row(
            NAME,
            f"CPU time, {max(MOST_MIB)} TelemetryConsumers",
            "% of a core",
            percent[OURS],
            peer=PEER,
            theirs=percent[PEER],
            goal=Goal(most=MOST_PERCENT),
        ),
    ]


def _run(bench: Bench, name: str, build: Build, spec: Mapping[str, Any]) -> Idle:
    return asyncio.run(_measure(bench, name, build, spec))


async def _measure(bench: Bench, name: str, build: Build, spec: Mapping[str, Any]) -> Idle:
    idle, there = Idle(), 0
    async with (
        await Cluster.connect() as cluster,
        cluster.namespace(bench.new_name("operator")) as namespace,
        build(namespace).started(bench) as child,
    ):
        for count in MOST_MIB:
            await cluster.create_consumers(namespace, build_names(count - there, start=there), spec)
            there = count
            await cluster.settle(namespace, count, _SETTLE_SECONDS)
            if name == OURS:
                await wait_for_statuses(cluster, namespace, count)
            await asyncio.sleep(QUIET_SECONDS)
            child.check()
            idle.memory[count] = child.measure_memory()
            bench.say(f"{name}: {count} TelemetryConsumers, {idle.memory[count]:.1f} MiB")
        idle.percent = await _measure_percent(child, CPU_SECONDS * bench.scale)
        bench.say(f"{name}: {there} TelemetryConsumers, {idle.percent:.2f}% of a core")
    return idle


async def _measure_percent(child: Child, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    began, before = loop.time(), child.measure_cpu()
    await asyncio.sleep(seconds)
    child.check()
    return 100 * (child.measure_cpu() - before) / (loop.time() - began)


async def wait_for_statuses(cluster: Cluster, namespace: str, count: int) -> None:
    """Return once so many TelemetryConsumers are Ready and tell their lag."""

    async def are_told() -> bool:
        bodies = await cluster.list_items(CONSUMERS.path(namespace))
        statuses = [body.get("status", {}) for body in bodies]
        return len(statuses) == count and all(
            "lagObservedAt" in status
            and any(each["type"] == "Ready" and each["status"] == "True" for each in status["conditions"])
            for status in statuses
        )

    await until(are_told, seconds=_SETTLE_SECONDS, what=f"{count} TelemetryConsumers to be Ready and to tell their lag")


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
