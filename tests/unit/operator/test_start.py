"""Where a group has begun, and what startFrom is worth from then on."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry_operator.groups import build_reading
from telemetry_operator.kafka.facts import Look
from telemetry_operator.start import judge_start, note_beginning, take_beginning, take_pods_beginning
from unit.operator.bench import Bench
from unit.operator.kafka_samples import AT, facts_of
from unit.operator.samples import KEY, consumer

BEGAN = {"began": {"startFrom": "latest", "at": "2026-02-20T22:45:00Z"}}


def look(**changes: Any) -> Look:
    reading = build_reading(consumer())
    assert reading is not None
    return Look(facts=facts_of(reading, **changes), trouble=None)


@pytest.mark.parametrize(
    ("seen", "ready", "begun"),
    [
        (None, 0, False),
        (None, 1, True),
        (look(uncommitted=6), 0, False),
        (look(uncommitted=5), 0, True),
        (look(partitions={}), 0, False),
    ],
    ids=["nobody asks", "a worker is ready", "no offset", "an offset", "no topic"],
)
def test_it_has_begun_with_an_offset_or_a_worker(seen: Look | None, ready: int, begun: bool) -> None:
    noted = note_beginning(consumer({"startFrom": "latest"}), {}, seen, ready=ready, now=AT)
    assert noted == (BEGAN if begun else {})


def test_it_is_noted_once() -> None:
    assert note_beginning(consumer(), BEGAN, look(), ready=1, now=AT) == {}


def test_until_it_has_begun_the_spec_counts_and_then_the_earliest_message() -> None:
    """Given a group whose offsets Kafka has forgotten, when it comes back, then it passes over nothing."""
    latest = consumer({"startFrom": "latest"})
    assert take_beginning(latest, {}).spec.start_from == "latest"
    assert take_beginning(latest, BEGAN).spec.start_from == "earliest"
    reading = build_reading(take_beginning(latest, BEGAN))
    assert reading is not None
    assert reading.start_from == "earliest"


@pytest.mark.parametrize(
    ("spec", "found", "told"),
    [
        ({}, "latest", "latest"),
        ({}, "earliest", "earliest"),
        ({}, None, "earliest"),
        ({}, "somebody's edit", "latest"),
        ({"paused": True}, "latest", "earliest"),
        ({"replicas": 0}, "latest", "earliest"),
    ],
    ids=["at work", "told once", "made anew", "edited", "paused", "none asked for"],
)
def test_pods_at_work_are_not_replaced_for_it(spec: dict[str, Any], found: str | None, told: str) -> None:
    begun = take_beginning(consumer({"startFrom": "latest", **spec}), BEGAN)
    assert take_pods_beginning(begun, BEGAN, found).spec.start_from == told


def test_pods_of_a_group_that_has_not_begun_are_told_what_the_spec_says() -> None:
    assert take_pods_beginning(consumer({"startFrom": "latest"}), {}, "earliest").spec.start_from == "latest"


def test_a_change_that_moves_nothing_is_told() -> None:
    assert judge_start(consumer({"startFrom": "latest"}), BEGAN) == ()
    assert judge_start(consumer({"startFrom": "earliest"}), {}) == ()
    (condition,) = judge_start(consumer({"startFrom": "earliest"}), BEGAN)
    assert (condition.type, condition.status, condition.reason) == ("StartFromIgnored", "True", "GroupHasBegun")
    for word in ("startFrom: latest", "startFrom: earliest has no effect", "telemetry.iot-hub.io/reset-offsets"):
        assert word in condition.message


async def test_a_paused_group_whose_offsets_are_forgotten_passes_over_nothing() -> None:
    """Given startFrom: latest and a group that has begun, when it is paused, then it can only begin at the earliest."""
    bench = Bench()
    await bench.run_workers({"startFrom": "latest"})
    assert bench.start_from == "latest"
    assert bench.cluster.status_of(*KEY)["began"] == BEGAN["began"]
    bench.restart()
    await bench.reconcile()
    (reading,) = bench.observer.watched
    assert (reading.start_from, bench.start_from) == ("earliest", "latest"), "the pods at work are left alone"
    bench.write({"startFrom": "latest", "paused": True})
    await bench.reconcile()
    assert bench.start_from == "earliest"
    bench.settle()
    bench.write({"startFrom": "latest"})
    await bench.reconcile()
    assert bench.start_from == "earliest"


async def test_a_change_of_it_replaces_no_pod_and_is_told_once() -> None:
    bench = Bench()
    await bench.run_workers({"startFrom": "latest"})
    generation = bench.generation
    for _ in range(3):
        bench.write({"startFrom": "2026-02-20T22:45:00Z"})
        await bench.reconcile()
    assert bench.generation == generation
    assert bench.events == ["RollingOut", "Running", "GroupHasBegun"]
    bench.write({"startFrom": "latest"})
    await bench.reconcile()
    assert "StartFromIgnored" not in {one["type"] for one in bench.cluster.status_of(*KEY)["conditions"]}
