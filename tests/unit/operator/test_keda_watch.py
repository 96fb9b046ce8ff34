"""What was made for KEDA is followed: edits are mended without a list, and KEDA may come and go."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from telemetry_operator import keda_watch as module
from telemetry_operator.api import CONSUMERS, SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS, Manifest, Resource
from telemetry_operator.controller import Controller
from telemetry_operator.errors import Refused, Unavailable
from telemetry_operator.settings import load_settings
from unit.operator.fake_cluster import FakeCluster
from unit.operator.samples import KEY, consumer_body

SETTINGS = load_settings({"OPERATOR_WORKER_IMAGE": "w:1", "KAFKA_BOOTSTRAP_SERVERS": "k:1"})
SPEC = {"autoscaling": {"maxReplicas": 4}, "kafka": {"securityProtocol": "SSL", "secretRef": {"name": "my-kafka"}}}

Edit = Callable[[Manifest], None]


class Operator:
    """An operator over a cluster in memory, told of its TelemetryConsumer; the rest it has to see by itself."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.controller = Controller(SETTINGS, cluster)

    async def start(self) -> None:
        await self.controller.wait_for_cluster()
        self.controller.start()

    def write(self, spec: dict[str, Any]) -> None:
        known = self.cluster.get(CONSUMERS, *KEY) or {}
        kept = {"status": known["status"]} if "status" in known else {}
        self.controller.see_consumer(self.cluster.put(CONSUMERS, consumer_body(spec) | kept), gone=False)

    def get(self, resource: Resource) -> Manifest | None:
        return self.cluster.get(resource, *KEY)

    async def has_made(self) -> dict[Resource, Manifest]:
        """Return both objects once they are there and followed."""
        kinds = (SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS)
        await until(lambda: all(self.get(kind) for kind in kinds))
        await until(lambda: len(self.controller.store.scaled_objects) == 1)
        return {kind: found for kind in kinds if (found := self.get(kind)) is not None}


@pytest.fixture
def cluster() -> FakeCluster:
    made = FakeCluster()
    made.unserved.clear()
    return made


@pytest.fixture
async def operator(cluster: FakeCluster) -> AsyncIterator[Operator]:
    made = Operator(cluster)
    yield made
    await made.controller.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def scale_wider(body: Manifest) -> None:
    body["spec"]["maxReplicaCount"] = 99


def take_label(body: Manifest) -> None:
    del body["metadata"]["labels"]["app.kubernetes.io/part-of"]


def take_owner(body: Manifest) -> None:
    del body["metadata"]["ownerReferences"]


def name_another_secret(body: Manifest) -> None:
    body["spec"]["secretTargetRef"][0]["name"] = "theirs"


@pytest.mark.parametrize(
    ("resource", "edit"),
    [
        (SCALED_OBJECTS, scale_wider),
        (SCALED_OBJECTS, take_label),
        (SCALED_OBJECTS, take_owner),
        (TRIGGER_AUTHENTICATIONS, name_another_secret),
        (TRIGGER_AUTHENTICATIONS, take_owner),
    ],
    ids=lambda one: one.plural if isinstance(one, Resource) else one.__name__,
)
async def test_an_edit_is_mended_as_soon_as_it_is_seen(operator: Operator, resource: Resource, edit: Edit) -> None:
    await operator.start()
    operator.write(SPEC)
    before = (await operator.has_made())[resource]
    edited = copy.deepcopy(before)
    edit(edited)
    operator.cluster.put(resource, edited)

    def is_mended() -> bool:
        now = operator.get(resource)
        return (
            now is not None
            and all(
                now["metadata"].get(field) == before["metadata"].get(field) for field in ("labels", "ownerReferences")
            )
            and now["spec"] == before["spec"]
        )

    await until(is_mended)


@pytest.mark.parametrize("resource", [SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS], ids=lambda one: one.plural)
async def test_one_that_is_deleted_comes_back(operator: Operator, resource: Resource) -> None:
    await operator.start()
    operator.write(SPEC)
    await operator.has_made()
    operator.cluster.remove(resource, *KEY)
    await until(lambda: operator.get(resource))


async def test_keda_may_come_after_the_operator(
    operator: Operator, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no KEDA, when it is installed, then its objects are followed without a restart."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr("telemetry_operator.autoscaler.KEDA_SECONDS", 0.0)
    cluster.unserved |= {SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS}
    await operator.start()
    operator.write(SPEC)
    await until(lambda: cluster.status_of(*KEY))
    cluster.calls.clear()
    await until(lambda: len(cluster.calls) > 3)
    assert "GET triggerauthentications" not in cluster.calls, "one kind is enough to look for it"
    cluster.unserved.clear()
    operator.write({**SPEC, "replicas": 2})
    await operator.has_made()
    cluster.remove(SCALED_OBJECTS, *KEY)
    await until(lambda: operator.get(SCALED_OBJECTS))


@pytest.mark.parametrize("error", [Unavailable("no answer"), Refused("GET", 403, "Forbidden", "no"), ValueError("bug")])
async def test_what_fails_is_tried_again(
    operator: Operator, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("LOOK_SECONDS", "AGAIN_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    follow, fails = cluster.follow, True

    async def fail(*arguments: Any) -> AsyncIterator[tuple[str, Manifest]]:
        if fails:
            raise error
        async for event in follow(*arguments):
            yield event

    monkeypatch.setattr(cluster, "follow", fail)
    await operator.start()
    operator.write(SPEC)
    await operator.has_made()
    cluster.calls.clear()
    await until(lambda: cluster.calls.count("GET scaledobjects") > 3)
    fails = False
    before = (await operator.has_made())[SCALED_OBJECTS]
    cluster.put(SCALED_OBJECTS, {**before, "spec": {**before["spec"], "maxReplicaCount": 99}})
    await until(lambda: (operator.get(SCALED_OBJECTS) or {})["spec"]["maxReplicaCount"] == 4)
