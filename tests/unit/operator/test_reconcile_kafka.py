"""The reconcile with a Kafka that is asked: what of its answers is in the status, and when it is written."""

from __future__ import annotations

from typing import Any

import pytest

from unit.operator.bench import Bench
from unit.operator.samples import KEY


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_lag_is_in_the_status_and_costs_a_call_only_now_and_then(bench: Bench) -> None:
    """Given a lag that changes with every look, then it is written when it came, went, or has grown old."""
    bench.write()
    await bench.reconcile()
    assert "lag" not in bench.cluster.status_of(*KEY)
    bench.settle()
    bench.show(0, lag=10)
    await bench.reconcile()
    assert bench.cluster.status_of(*KEY)["lag"] == 10
    assert bench.cluster.status_of(*KEY)["partitions"] == 6
    bench.show(25, lag=9)
    await bench.reconcile()
    assert bench.cluster.calls == []
    bench.show(30, lag=0)
    await bench.reconcile()
    assert bench.cluster.status_of(*KEY)["lag"] == 0
    bench.show(80, lag=0)
    await bench.reconcile()
    assert bench.cluster.status_of(*KEY)["lagObservedAt"] == "2026-02-20T22:46:20Z"
    assert bench.events == ["RollingOut", "Running"]


async def test_a_look_that_comes_while_the_one_before_is_written_counts_as_not_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write()
    await bench.reconcile()
    bench.settle()
    bench.show(0, lag=10)
    write = bench.cluster.patch_status

    async def be_overtaken(*arguments: Any) -> Any:
        bench.show(28, lag=9)
        return await write(*arguments)

    monkeypatch.setattr(bench.cluster, "patch_status", be_overtaken)
    await bench.reconcile()
    monkeypatch.undo()
    assert bench.cluster.status_of(*KEY)["lag"] == 10
    bench.show(56, lag=8)
    await bench.reconcile()
    assert bench.cluster.status_of(*KEY)["lag"] == 8


async def test_a_conflict_about_the_group_is_an_event_and_leaves_the_workers_at_work(bench: Bench) -> None:
    bench.write({"replicas": 7})
    await bench.reconcile()
    bench.settle()
    bench.show(0)
    assert await bench.reconcile() == "Ready"
    assert bench.conditions["ReplicasExceedPartitions"] == "True"
    assert bench.events == ["RollingOut", "Running", "WorkersStandBy"]
    assert bench.deployment["spec"]["replicas"] == 7
    bench.show(25, partitions={"telemetry.raw": 8})
    await bench.reconcile()
    assert bench.conditions["ReplicasExceedPartitions"] == "False"


async def test_a_spec_with_a_kafka_of_its_own_is_not_looked_at(bench: Bench) -> None:
    bench.write({"kafka": {"bootstrapServers": "other:9092"}})
    await bench.reconcile()
    assert bench.observer.watched == []
    assert "Degraded" not in bench.conditions


async def test_what_is_gone_is_looked_at_no_longer(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    fact = bench.store.consumers.get(*KEY)
    assert fact is not None
    bench.store.consumers.see_gone(fact)
    assert await bench.reconciler.reconcile(KEY) == "gone"
    assert bench.observer.watched == []
