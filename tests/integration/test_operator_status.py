"""What a real Kafka says about a group, in the status of its TelemetryConsumer: the operator's parts together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from integration.operator_kafka import commit, committed_of, member, send_letters
from integration_helpers import send
from support.kafka_broker import KafkaBroker
from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, DEPLOYMENTS
from telemetry_operator.controller import Controller
from telemetry_operator.kafka.observer import Observer
from telemetry_operator.kafka.settings import load_kafka_settings
from telemetry_operator.settings import load_settings
from unit.operator.fake_cluster import FakeCluster
from unit.operator.samples import KEY, consumer_body

Unique = Callable[[str], str]


class Operator:
    """The operator over an API server in memory and a real Kafka."""

    def __init__(self, kafka: KafkaBroker) -> None:
        environment = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        settings = load_settings(environment | {"OPERATOR_WORKER_IMAGE": "w:1", "OPERATOR_RESYNC_SECONDS": "1"})
        self.cluster = FakeCluster()
        self.controller = Controller(
            settings,
            self.cluster,
            observer=lambda on_news: Observer(load_kafka_settings(environment), on_news=on_news, interval=1),
        )

    def write(self, spec: dict[str, Any], *, reset: str | None = None) -> None:
        """Write the TelemetryConsumer, as kubectl would, keeping its status."""
        body = consumer_body(spec, annotations={} if reset is None else {naming.ANNOTATION_RESET: reset})
        known = self.cluster.get(CONSUMERS, *KEY) or {}
        kept = {"status": known["status"]} if "status" in known else {}
        self.controller.see_consumer(self.cluster.put(CONSUMERS, body | kept), gone=False)

    async def settle(self, workers: int) -> None:
        """Do what the Deployment's controller would, once so many workers are asked for: they are there."""
        async with asyncio.timeout(45):
            while not (found := self.cluster.get(DEPLOYMENTS, *KEY)) or found["spec"]["replicas"] != workers:
                await asyncio.sleep(0.05)
        names = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
        counts = dict.fromkeys(names, workers) | {"observedGeneration": found["metadata"]["generation"]}
        self.controller.see_deployment(self.cluster.put_status(DEPLOYMENTS, found, counts), gone=False)

    async def wait_for(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the status once ``condition`` holds for it."""
        async with asyncio.timeout(45):
            while not condition(status := self.cluster.status_of(*KEY)):
                await asyncio.sleep(0.05)
        return status


def status_of(condition: str) -> Callable[[dict[str, Any]], str | None]:
    """Return what reads the status of a condition."""

    def read(status: dict[str, Any]) -> str | None:
        found = (one["status"] for one in status.get("conditions", ()) if one["type"] == condition)
        return next(found, None)

    return read


@pytest.fixture
async def operator(kafka: KafkaBroker) -> AsyncIterator[Operator]:
    made = Operator(kafka)
    await made.controller.wait_for_cluster()
    made.controller.start()
    yield made
    await made.controller.stop()


async def test_a_new_group_has_its_place_and_its_lag_before_any_worker_runs(
    operator: Operator, kafka: KafkaBroker, topic: str, unique: Unique
) -> None:
    """Given messages from before, when a TelemetryConsumer comes that has no worker, then they are its lag."""
    send(kafka, topic, [b"1", b"2", b"3"])
    operator.write({"topics": [topic], "groupId": unique("group"), "replicas": 0})
    status = await operator.wait_for(lambda status: status.get("lag") == 3)
    assert status["partitions"] == 3
    assert status["lagObservedAt"].endswith("Z")


async def test_lag_and_dead_letters_follow_kafka(
    operator: Operator, kafka: KafkaBroker, topic: str, unique: Unique
) -> None:
    (dead,) = kafka.create_topics([unique("dead")], partitions=1)
    group = unique("group")
    send(kafka, topic, [b"1", b"2"], partition=0)
    commit(kafka, group, {(topic, 0): 1, (topic, 1): 0, (topic, 2): 0})
    await asyncio.to_thread(send_letters, kafka, dead, group, 2)
    operator.write({"topics": [topic], "groupId": group, "deadLetter": {"topic": dead}})
    status = await operator.wait_for(lambda status: status.get("deadLettered"))
    assert status["lag"] == 1
    assert (status["deadLettered"]["count"], status["deadLettered"]["lastReason"]) == (2, "bad_ts")
    await asyncio.to_thread(commit, kafka, group, {(topic, 0): 2})
    status = await operator.wait_for(lambda status: status.get("lag") == 0)
    assert status["drainSeconds"] == 0


async def test_a_stranger_with_other_topics_is_a_conflict(
    operator: Operator, kafka: KafkaBroker, topic: str, unique: Unique
) -> None:
    (other,) = kafka.create_topics([unique("other")], partitions=1)
    group = unique("group")
    operator.write({"topics": [topic], "groupId": group, "replicas": 4})
    await operator.wait_for(lambda status: status_of("ReplicasExceedPartitions")(status) == "True")
    stranger = member(kafka, group, other, name="stranger")
    await asyncio.to_thread(stranger.__enter__)
    try:
        status = await operator.wait_for(lambda status: status_of("ConsumerGroupConflict")(status) == "True")
    finally:
        await asyncio.to_thread(stranger.__exit__, None, None, None)
    assert any("stranger" in condition["message"] for condition in status["conditions"])
    await operator.wait_for(lambda status: status_of("ConsumerGroupConflict")(status) == "False")


async def test_a_group_that_kafka_has_forgotten_passes_over_nothing(
    operator: Operator, kafka: KafkaBroker, topic: str, unique: Unique
) -> None:
    """Given startFrom: latest and a group that has begun, when Kafka forgets it, then what came since is its lag."""
    group = unique("group")
    send(kafka, topic, [b"before"])
    operator.write({"topics": [topic], "groupId": group, "startFrom": "latest", "replicas": 0})
    status = await operator.wait_for(lambda status: status.get("lag") == 0 and "began" in status)
    assert status["began"]["startFrom"] == "latest"
    send(kafka, topic, [b"1", b"2"])
    await asyncio.to_thread(kafka.admin.delete_consumer_groups([group])[group].result)
    await operator.wait_for(lambda status: status.get("lag") == 3)
    assert sum(committed_of(kafka, group).values()) == 0


async def test_a_reset_moves_the_group_once_its_workers_are_gone(
    operator: Operator, kafka: KafkaBroker, topic: str, unique: Unique
) -> None:
    """Given a worker, when a reset is asked for, then it is done when the worker has left, and only once."""
    group = unique("group")
    spec = {"topics": [topic], "groupId": group}
    send(kafka, topic, [b"1", b"2", b"3"], partition=0)
    commit(kafka, group, {(topic, 0): 3, (topic, 1): 0, (topic, 2): 0})
    operator.write(spec)
    await operator.settle(1)
    await operator.wait_for(lambda status: status.get("lag") == 0)
    worker = member(kafka, group, topic, name="w-1")
    await asyncio.to_thread(worker.__enter__)
    try:
        operator.write(spec, reset="-2@first")
        await operator.settle(0)
        # The worker is no pod of the cluster in memory, so Kafka alone knows of it.
        await operator.wait_for(lambda status: "has members" in status["conditions"][0]["message"])
        assert committed_of(kafka, group)[topic, 0] == 3
    finally:
        await asyncio.to_thread(worker.__exit__, None, None, None)
    status = await operator.wait_for(lambda status: status["offsetsReset"]["state"] == "Done")
    assert status["offsetsReset"]["moved"] == -2
    assert status["offsetsReset"]["message"] == f"group {group} moved by -2 in each of 3 partitions: 2 messages back"
    assert committed_of(kafka, group)[topic, 0] == 1
    await operator.settle(1)
    status = await operator.wait_for(lambda status: status.get("lag") == 2 and status_of("Ready")(status) == "True")
    assert status["offsetsReset"]["requested"] == "-2@first"
    assert committed_of(kafka, group)[topic, 0] == 1
