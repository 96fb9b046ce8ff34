"""A reset from the annotation to its end: what is written when, and what runs meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, SCALED_OBJECTS
from telemetry_operator.errors import Unavailable
from telemetry_operator.facts import PodFact, read_consumer
from telemetry_operator.kafka.errors import GROUP_HAS_MEMBERS, NOT_ALLOWED, KafkaProblem
from telemetry_operator.kafka.targets import Reset
from unit.operator.bench import Bench
from unit.operator.samples import KEY, pod_fact

GROUP = "plant.raw-logger"
DONE = Reset(GROUP, {("telemetry.raw", 0): 7}, {("telemetry.raw", 0): 0}, done_before=False)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_workers_stop_the_group_moves_and_they_come_back(bench: Bench) -> None:
    """Given two workers, when a reset is asked for, then Kafka is asked once they are gone, and they run again."""
    await bench.run_workers({"replicas": 2})
    bench.write({"replicas": 2}, reset="earliest")
    assert await bench.reconcile() == "Reconciling"
    assert (bench.reset["requested"], bench.reset["state"]) == ("earliest", "Underway")
    assert (bench.workers, bench.ready, bench.observer.resets) == (0, "ResettingOffsets", [])
    bench.settle()
    assert await bench.reconcile() == "Reconciling"
    assert [(group, target) for group, target, _ in bench.observer.resets] == [(GROUP, "earliest")]
    bench.observer.answer = DONE
    await bench.reconcile()
    assert (bench.reset["state"], bench.reset["moved"]) == ("Done", -7)
    assert bench.workers == 2
    bench.settle()
    assert await bench.reconcile() == "Ready"
    assert bench.events == ["RollingOut", "Running", "ResettingOffsets", "OffsetsReset", "RollingOut", "Running"]
    asked = len(bench.observer.resets)
    await bench.reconcile()
    bench.restart()
    await bench.reconcile()
    assert (len(bench.observer.resets), bench.workers) == (asked, 2)


async def test_one_that_is_paused_stays_paused(bench: Bench) -> None:
    await bench.run_workers({"paused": True})
    bench.observer.answer = DONE
    bench.write({"paused": True}, reset="latest")
    assert await bench.reconcile() == "Ready"
    assert (bench.reset["state"], bench.ready, bench.workers) == ("Done", "Paused", 0)


async def test_pods_that_are_still_ending_are_waited_for(bench: Bench) -> None:
    """A Deployment does not count them; one of them could still commit what it has in hand."""
    await bench.run_workers()
    bench.store.pods.see(pod_fact("w-1"))
    bench.write(reset="earliest")
    await bench.reconcile()
    bench.settle()
    await bench.reconcile()
    assert bench.observer.resets == []
    assert bench.reset["state"] == "Underway"
    assert "w-1" in bench.cluster.status_of(*KEY)["conditions"][0]["message"]
    bench.store.pods.see(_end(pod_fact("w-1")))
    await bench.reconcile()
    assert len(bench.observer.resets) == 1


async def test_an_operator_that_dies_in_the_middle_asks_for_the_same_one_again(bench: Bench) -> None:
    """Given a reset that Kafka was asked for, when the operator is replaced, then the token says which one it is."""
    await bench.run_workers()
    bench.write(reset="-10")
    await bench.reconcile()
    bench.settle()
    await bench.reconcile()
    bench.now += timedelta(minutes=1)
    bench.restart()
    bench.observer.answer = DONE
    await bench.reconcile()
    (first, *_), (second, *_) = bench.observer.resets[0][2:], bench.observer.resets[-1][2:]
    assert first == second
    assert bench.reset["state"] == "Done"


async def test_members_that_kafka_still_counts_are_waited_for(bench: Bench) -> None:
    await bench.run_workers()
    bench.observer.answer = KafkaProblem(GROUP_HAS_MEMBERS, "group has members (somebody)")
    bench.write(reset="earliest")
    await bench.reconcile()
    bench.settle()
    await bench.reconcile()
    assert (bench.reset["state"], bench.workers) == ("Underway", 0)
    bench.now += timedelta(minutes=6)
    await bench.reconcile()
    assert bench.reset["state"] == "Refused"
    assert "somebody" in bench.reset["message"]
    assert bench.workers == 1, "they are not kept away for it"
    assert bench.events[-2:] == ["OffsetsResetRefused", "RollingOut"]


async def test_what_kafka_refuses_is_told_and_the_workers_come_back(bench: Bench) -> None:
    await bench.run_workers()
    bench.observer.answer = KafkaProblem(NOT_ALLOWED, "may not")
    bench.write(reset="earliest")
    await bench.reconcile()
    bench.settle()
    await bench.reconcile()
    assert (bench.reset["state"], bench.workers) == ("Refused", 1)


async def test_one_whose_kafka_is_changed_in_the_middle_is_refused(bench: Bench) -> None:
    await bench.run_workers()
    bench.write(reset="earliest")
    await bench.reconcile()
    bench.write({"kafka": {"bootstrapServers": "other:9092"}}, reset="earliest")
    await bench.reconcile()
    bench.settle()
    await bench.reconcile()
    assert (bench.reset["state"], bench.workers, bench.observer.resets) == ("Refused", 1, [])


async def test_an_illegal_value_stops_nothing_and_is_told_once(bench: Bench) -> None:
    await bench.run_workers()
    bench.write(reset="yesterday")
    for _ in range(3):
        assert await bench.reconcile() == "Ready"
    assert bench.reset["state"] == "Refused"
    assert "'yesterday' is no place in a topic: write earliest" in bench.reset["message"]
    assert (bench.workers, bench.events) == (1, ["RollingOut", "Running", "OffsetsResetRefused"])


async def test_keda_leaves_the_replicas_alone_meanwhile(bench: Bench) -> None:
    def paused() -> bool:
        body = bench.cluster.get(SCALED_OBJECTS, *KEY)
        assert body is not None
        return naming.ANNOTATION_KEDA_PAUSED in body["metadata"].get("annotations", {})

    await bench.run_workers({"autoscaling": {}})
    bench.write({"autoscaling": {}}, reset="earliest")
    await bench.reconcile()
    assert paused()
    bench.observer.answer = DONE
    bench.settle()
    await bench.reconcile()
    assert not paused()


async def test_an_edit_in_the_middle_of_a_write_is_one_more_reconcile_and_no_second_reset(bench: Bench) -> None:
    """Given a paused group, when the spec is edited just before the reset is noted, then it is asked for once."""
    await bench.run_workers({"paused": True})
    bench.write({"paused": True}, reset="-10")
    bench.see()
    bench.write({"paused": True, "maxAttempts": 7}, reset="-10")
    edit = read_consumer(bench.cluster.get(CONSUMERS, *KEY) or {})
    with pytest.raises(Unavailable, match="was edited in this moment"):
        await bench.reconciler.reconcile(KEY)
    assert not bench.store.consumers.see(edit), "the watch shows it too late"
    for _ in range(3):
        await bench.reconcile()
        bench.settle()
    assert len({token for *_, token in bench.observer.resets}) == 1


async def test_one_that_is_deleted_in_the_middle_is_gone(bench: Bench) -> None:
    await bench.run_workers()
    bench.write(reset="earliest")
    bench.see()
    bench.cluster.remove(CONSUMERS, *KEY)
    assert await bench.reconciler.reconcile(KEY) == "gone"


def _end(pod: PodFact) -> PodFact:
    return replace(pod, ended=True, version=pod.version + 1)
