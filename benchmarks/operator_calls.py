"""Calls to the API server for each steady TelemetryConsumer, and how old its status gets meanwhile."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer

from benchmarks.bench import Bench, run_command
from benchmarks.child import BenchmarkFailed
from benchmarks.operator_cluster import Cluster, build_names, write_kubeconfig
from benchmarks.operator_contenders import build_ours, make_spec
from benchmarks.operator_idle import QUIET_SECONDS, wait_for_statuses
from benchmarks.operator_proxy import CountingProxy
from benchmarks.rows import Goal, Row, build_row
from telemetry_operator.api import CONSUMERS
from telemetry_operator.kafka.observer import INTERVAL_SECONDS

NAME = "operator-calls"
COUNT = 100
MOST_CALLS = 1.0
"""For each TelemetryConsumer and minute."""
MOST_AGE_SECONDS = 60.0
WINDOW_SECONDS = 6 * 2 * INTERVAL_SECONDS
"""Six rounds of what a steady operator does: it tells at every second look at Kafka, of all in the same moment."""
MESSAGES_A_SECOND = 20
_SETTLE_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_WARM_SECONDS = 70.0
_GAP_SECONDS = 12.0
_WRITE = "PATCH telemetryconsumers status"


@dataclass(frozen=True)
class Window:
    """What was seen while nothing was changed."""

    calls: float
    """For each TelemetryConsumer and minute."""
    own: float
    """Of those, the ones about one TelemetryConsumer: no lists and watches, however many there are."""
    age: float
    """Of the oldest status, in seconds."""


def measure(bench: Bench) -> Sequence[Row]:
    """Return the rows."""
    spec = make_spec(bench)
    found = [asyncio.run(_measure(bench, spec)) for _ in range(bench.runs)]
    rows: list[Row] = []
    for name in found[0]:
        windows = [windows[name] for windows in found]
        rows += [
            build_row(
                NAME,
                f"calls for each and minute, {name}",
                "1/min",
                [window.calls for window in windows],
                goal=Goal(most=MOST_CALLS),
            ),
            build_row(NAME, f"no lists and watches, {name}", "1/min", [window.own for window in windows]),
            build_row(
                NAME,
                f"oldest status, {name}",
                "s",
                [window.age for window in windows],
                goal=Goal(most=MOST_AGE_SECONDS),
            ),
        ]
    return rows


async def _measure(bench: Bench, spec: Mapping[str, Any]) -> dict[str, Window]:
    async with await Cluster.connect() as cluster, cluster.namespace(bench.new_name("operator")) as namespace:
        proxy = CountingProxy(cluster)
        async with proxy.listening() as address:
            kubeconfig = bench.folder / "kubeconfig"
            write_kubeconfig(kubeconfig, address)
            async with build_ours(bench, namespace, kubeconfig).started(bench) as child:
                await cluster.create_consumers(namespace, build_names(COUNT), spec)
                await cluster.settle(namespace, COUNT, _SETTLE_SECONDS)
                await wait_for_statuses(cluster, namespace, COUNT)
                await asyncio.sleep(QUIET_SECONDS)
                quiet = await _watch(bench, cluster, namespace, proxy, None)
                moving = await _watch(bench, cluster, namespace, proxy, spec["topics"][0])
                child.check()
    return {"lag stands still": quiet, "lag moves": moving}


async def _watch(bench: Bench, cluster: Cluster, namespace: str, proxy: CountingProxy, topic: str | None) -> Window:
    """Look on for a while, with messages into ``topic`` where it is one."""
    producer = Producer({"bootstrap.servers": bench.kafka.bootstrap_servers})
    seconds = WINDOW_SECONDS * bench.scale
    if topic is not None:
        # That there is a lag at all is told at once; this is about one that moves.
        warm = time.monotonic() + _WARM_SECONDS
        while time.monotonic() < warm:
            _produce(producer, topic)
            await asyncio.sleep(_LOOK_SECONDS)
    await _wait_for_gap(proxy, producer, topic)
    before, began, oldest, lags = proxy.calls.copy(), time.monotonic(), 0.0, set()
    while time.monotonic() - began < seconds:
        _produce(producer, topic)
        bodies = await cluster.list_items(CONSUMERS.path(namespace))
        now = datetime.now(UTC)
        for body in bodies:
            observed_at = datetime.fromisoformat(body["status"]["lagObservedAt"])
            oldest = max(oldest, (now - observed_at).total_seconds())
        lags.add(bodies[0]["status"]["lag"])
        await asyncio.sleep(_LOOK_SECONDS)
    producer.flush(10)
    if (len(lags) > 1) is not (topic is not None):
        raise BenchmarkFailed(f"the lag was to {'move' if topic else 'stand still'}, and was told as {sorted(lags)}")
    calls = proxy.calls - before
    share = 60 / COUNT / (time.monotonic() - began)
    each = sum(calls.values()) * share
    own = sum(count for what, count in calls.items() if not what.startswith(("LIST", "WATCH"))) * share
    told = ", ".join(f"{count} {what}" for what, count in calls.most_common())
    bench.say(f"{'lag moves' if topic else 'lag stands still'}: {each:.3f}/min ({told}), oldest status {oldest:.1f} s")
    return Window(each, own, oldest)


async def _wait_for_gap(proxy: CountingProxy, producer: Producer, topic: str | None) -> None:
    """Return between two rounds of writes, so that a window has whole rounds."""
    written, since = -1, time.monotonic()
    while time.monotonic() - since < _GAP_SECONDS:
        if proxy.calls[_WRITE] != written:
            written, since = proxy.calls[_WRITE], time.monotonic()
        _produce(producer, topic)
        await asyncio.sleep(_LOOK_SECONDS)


def _produce(producer: Producer, topic: str | None) -> None:
    if topic is None:
        return
    for _ in range(MESSAGES_A_SECOND):
        producer.produce(topic, b"{}")
    producer.poll(0)


if __name__ == "__main__":
    sys.exit(run_command(NAME, measure, __doc__))
