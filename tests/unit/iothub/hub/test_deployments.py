"""The Deployment controller over a store, a hand in place of the kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from iothub.hub.deployments import DeploymentController
from iothub.hub.objects import ObjectStore
from telemetry_operator.api import DEPLOYMENTS, PODS, Manifest
from telemetry_operator.facts import read_deployment, read_pod
from telemetry_operator.objects.deployment import build_deployment
from unit.operator.samples import DEFAULTS, KEY, consumer


class Bench:
    """A store with a controller; `make_ready` and `end` are what a kubelet does."""

    def __init__(self) -> None:
        self.store = ObjectStore()
        self.controller = DeploymentController(self.store)

    async def apply(self, **spec: Any) -> None:
        await self.store.apply(DEPLOYMENTS, build_deployment(consumer(spec), DEFAULTS, None), force=True)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def pods(self) -> list[Manifest]:
        return [pod for pod in self.store.find(PODS) if "deletionTimestamp" not in pod["metadata"]]

    @property
    def leaving(self) -> list[Manifest]:
        return [pod for pod in self.store.find(PODS) if "deletionTimestamp" in pod["metadata"]]

    async def make_ready(self, pod: Manifest) -> None:
        self.store.put_status(PODS, pod, {"conditions": [{"type": "Ready", "status": "True"}]})
        await self.settle()

    async def end(self, pod: Manifest) -> None:
        self.store.remove(PODS, KEY.namespace, pod["metadata"]["name"])
        await self.settle()

    @property
    def counts(self) -> tuple[int, int, int, int]:
        body = self.store.get(DEPLOYMENTS, *KEY)
        assert body is not None
        fact = read_deployment(body)
        assert fact.observed_generation == fact.generation
        return fact.replicas, fact.updated, fact.ready, fact.available


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    made.controller.start()
    yield made
    await made.controller.stop()


async def test_as_many_pods_as_it_asks_for(bench: Bench) -> None:
    await bench.apply(replicas=2)
    assert len(bench.pods) == 2
    assert bench.counts == (2, 2, 0, 0)
    fact = read_pod(bench.pods[0])
    assert (fact.consumer, fact.problem) == (KEY.name, None)
    await bench.make_ready(bench.pods[0])
    assert bench.counts == (2, 2, 1, 1)
    await bench.apply(replicas=0)
    assert (bench.pods, bench.counts) == ([], (0, 0, 0, 0))


async def test_one_that_goes_is_replaced(bench: Bench) -> None:
    await bench.apply()
    (pod,) = bench.pods
    await bench.end(pod)
    (other,) = bench.pods
    assert other["metadata"]["name"] != pod["metadata"]["name"]


async def test_a_new_template_comes_in_before_the_old_one_leaves(bench: Bench) -> None:
    await bench.apply()
    (old,) = bench.pods
    await bench.make_ready(old)
    await bench.apply(startFrom="latest")
    assert len(bench.pods) == 2
    assert bench.counts == (2, 1, 1, 1)
    (new,) = (pod for pod in bench.pods if pod["metadata"]["name"] != old["metadata"]["name"])
    await bench.make_ready(new)
    assert [pod["metadata"]["name"] for pod in bench.pods] == [new["metadata"]["name"]]
    assert [pod["metadata"]["name"] for pod in bench.leaving] == [old["metadata"]["name"]]
    assert bench.counts == (1, 1, 1, 1)


async def test_without_its_deployment_all_of_it_goes(bench: Bench) -> None:
    await bench.apply(replicas=2)
    bench.store.remove(DEPLOYMENTS, *KEY)
    await bench.settle()
    assert (bench.pods, len(bench.leaving)) == ([], 2)


async def test_stopped_it_replaces_nothing(bench: Bench) -> None:
    await bench.apply()
    await bench.controller.stop()
    await bench.end(bench.pods[0])
    assert bench.pods == []
