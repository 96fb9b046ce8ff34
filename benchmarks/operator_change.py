"""From a change of one TelemetryConsumer among a hundred to its Deployment being patched."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import quantiles
from typing import Any

from benchmarks.bench import Bench, run_command
from benchmarks.operator_cluster import Cluster, Sightings, build_names
from benchmarks.operator_contenders import OURS, PEER, Build, build_both, make_spec
from benchmarks.rows import Goal, Row, build_row, measure_in_turn

NAME = "operator-change"
CONSUMERS = 100
CHANGES = 300
MOST_MILLISECONDS = {50: 300.0, 99: 1500.0}
"""The goals, by percentile."""
_SETTLE_SECONDS = 300.0
_PATIENCE_SECONDS = 30.0


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    spec = make_spec(bench)
    changes = max(20, round(CHANGES * bench.scale))
    found = measure_in_turn(
        {name: partial(_run_changes, bench, name, build, spec, changes) for name, build in build_both(bench).items()},
        bench.runs,
    )
    return [
        build_row(
            NAME,
            f"patched, p{percent}",
            "ms",
            [_find_percentile(times, percent) for times in found[OURS]],
            peer=PEER,
            theirs=[_find_percentile(times, percent) for times in found[PEER]],
            goal=Goal(most=most),
        )
        for percent, most in MOST_MILLISECONDS.items()
    ]


def _run_changes(bench: Bench, name: str, build: Build, spec: Mapping[str, Any], changes: int) -> list[float]:
    times = asyncio.run(_measure_changes(bench, build, spec, changes))
    bench.say(f"{name}: p50 {_find_percentile(times, 50):.0f} ms, p99 {_find_percentile(times, 99):.0f} ms")
    return times


async def _measure_changes(bench: Bench, build: Build, spec: Mapping[str, Any], changes: int) -> list[float]:
    """Return the milliseconds from sending each change to the watch's showing the Deployment with it."""
    names = build_names(CONSUMERS)
    async with (
        await Cluster.connect() as cluster,
        cluster.namespace(bench.new_name("operator")) as namespace,
        build(namespace).started(bench) as child,
        Sightings(cluster, namespace) as sightings,
    ):
        await cluster.create_consumers(namespace, names, spec)
        await cluster.settle(namespace, CONSUMERS, _SETTLE_SECONDS)
        times = []
        for number in range(changes):
            name = names[number % CONSUMERS]
            before, _ = sightings.generations[name]
            began = time.monotonic()
            # Another value each time that it is this one's turn.
            await cluster.patch_consumer(namespace, name, {"maxAttempts": 10 + number // CONSUMERS})
            await sightings.wait_for(
                partial(sightings.is_newer, name, before), seconds=_PATIENCE_SECONDS, what=f"{name} to be patched"
            )
            times.append(1000 * (sightings.generations[name][1] - began))
        child.check()
        return times


def _find_percentile(times: Sequence[float], percent: int) -> float:
    return quantiles(times, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
