"""Many TelemetryConsumers at once, and how soon all of their Deployments exist, beside a minimal operator in Go."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed
from benchmarks.operator_cluster import Body, Cluster, Sightings, build_names
from benchmarks.operator_contenders import OURS, PEER, Build, build_both, make_spec
from benchmarks.rows import Goal, Row, build_row, measure_in_turn
from telemetry_operator.api import DEPLOYMENTS

NAME = "operator-burst"
MOST_SECONDS = {100: 10.0, 500: 60.0}
"""The goal for so many TelemetryConsumers."""
LEAST_RATIO = 0.5
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Burst:
    """How one went: ``seconds`` from the first request to the last Deployment, of which making them all took some."""

    seconds: float
    making: float
    made: Body
    """One of the Deployments, without what differs by namespace or contender."""


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    builds = build_both(bench)
    spec = make_spec(bench)
    rows: list[Row] = []
    for full, most in MOST_SECONDS.items():
        count = max(10, round(full * bench.scale))
        found = measure_in_turn(
            {name: partial(_run_burst, bench, name, build, spec, count) for name, build in builds.items()}, bench.runs
        )
        if found[OURS][0].made != found[PEER][0].made:
            raise BenchmarkFailed(f"the Deployments differ: {found[OURS][0].made} {found[PEER][0].made}")
        ours, theirs = ([burst.seconds for burst in found[name]] for name in (OURS, PEER))
        made = f"{count} applied at once"
        rows += [
            build_row(NAME, made, "s", ours, peer=PEER, theirs=theirs, goal=Goal(most=most)),
            build_row(
                NAME,
                f"{made}, Deployments",
                "1/s",
                [count / seconds for seconds in ours],
                peer=PEER,
                theirs=[count / seconds for seconds in theirs],
                goal=Goal(least_ratio=LEAST_RATIO),
            ),
            build_row(NAME, f"{made}, of it the applying", "s", [burst.making for burst in found[OURS]]),
        ]
    count = max(10, round(max(MOST_SECONDS) * bench.scale))
    waiting = measure_in_turn(
        {name: partial(_run_start, bench, name, build, spec, count) for name, build in builds.items()}, bench.runs
    )
    rows.append(
        build_row(
            NAME,
            f"{count} there at the start, Deployments",
            "1/s",
            waiting[OURS],
            peer=PEER,
            theirs=waiting[PEER],
            goal=Goal(least_ratio=LEAST_RATIO),
        )
    )
    return rows


def _run_burst(bench: Bench, name: str, build: Build, spec: Mapping[str, Any], count: int) -> Burst:
    burst = asyncio.run(_measure_burst(bench, build, spec, count))
    bench.say(f"{name}: {count} in {burst.seconds:.2f} s, made within {burst.making:.2f} s")
    return burst


async def _measure_burst(bench: Bench, build: Build, spec: Mapping[str, Any], count: int) -> Burst:
    names = build_names(count)
    async with (
        await Cluster.connect() as cluster,
        cluster.namespace(bench.new_name("operator")) as namespace,
        build(namespace).started(bench) as child,
        Sightings(cluster, namespace) as sightings,
    ):
        began = time.monotonic()
        await cluster.create_consumers(namespace, names, spec)
        making = time.monotonic() - began
        await sightings.wait_for(lambda: len(sightings.first) >= count, seconds=_PATIENCE_SECONDS, what="Deployments")
        child.check()
        made = await cluster.call("GET", DEPLOYMENTS.path(namespace, names[0]))
        return Burst(max(sightings.first.values()) - began, making, _find_common(made))


def _run_start(bench: Bench, name: str, build: Build, spec: Mapping[str, Any], count: int) -> float:
    rate = asyncio.run(_measure_start(bench, build, spec, count))
    bench.say(f"{name}: {count} that waited, {rate:.0f}/s")
    return rate


async def _measure_start(bench: Bench, build: Build, spec: Mapping[str, Any], count: int) -> float:
    """Return Deployments a second from the first to the last: what starting a process takes is left out."""
    async with (
        await Cluster.connect() as cluster,
        cluster.namespace(bench.new_name("operator")) as namespace,
        Sightings(cluster, namespace) as sightings,
    ):
        await cluster.create_consumers(namespace, build_names(count), spec)
        async with build(namespace).started(bench) as child:
            await sightings.wait_for(
                lambda: len(sightings.first) >= count, seconds=_PATIENCE_SECONDS, what="Deployments"
            )
            child.check()
        times = sightings.first.values()
        return (count - 1) / (max(times) - min(times))


def _find_common(deployment: Body) -> Body:
    """Return what contenders' Deployments have to have in common."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    del spec["template"]["metadata"]["annotations"]
    owners = [owner | {"uid": ""} for owner in metadata["ownerReferences"]]
    common = {"labels": metadata["labels"], "ownerReferences": owners, "spec": spec}
    return dict(orjson.loads(orjson.dumps(common).replace(metadata["namespace"].encode(), b"namespace")))


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
