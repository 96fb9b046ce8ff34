"""The reconcile, once over the fake API server and once over a real one: what stands in the cluster afterwards."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.kubectl import Kubectl
from contract.samples import manifest
from telemetry_operator import naming
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, DEPLOYMENTS, ClusterApi, Manifest, Resource
from telemetry_operator.cluster import Cluster
from telemetry_operator.errors import Refused
from telemetry_operator.facts import read_consumer, read_deployment
from telemetry_operator.naming import Key
from telemetry_operator.reconcile import Reconciler
from telemetry_operator.store import Store
from unit.operator.fake_cluster import FakeCluster
from unit.operator.samples import DEFAULTS

STATUS_FIELDS = {"observedGeneration", "replicas", "readyReplicas", "selector", "groupId", "image", "conditions"}


class Bench:
    """A reconciler over a cluster; somebody else's hand (``write``, ``remove``); ``sync`` in place of the watches."""

    def __init__(self, cluster: ClusterApi, namespace: str, kubectl: Kubectl | None) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._kubectl = kubectl
        self.store = Store()
        self.reconciler = self.restart()

    def restart(self) -> Reconciler:
        """Put a reconciler in place that remembers nothing."""
        self.reconciler = Reconciler(
            self.cluster, self.store, DEFAULTS, now=lambda: datetime.now(UTC), clock=time.monotonic
        )
        return self.reconciler

    async def write(self, resource: Resource, body: Manifest, kind: str) -> None:
        """Write an object as somebody with kubectl would."""
        placed = {**body, "metadata": {**body["metadata"], "namespace": self.namespace}}
        if self._kubectl is not None:
            self._kubectl.apply(placed)
        else:
            assert isinstance(self.cluster, FakeCluster)
            known = await self.cluster.read(resource, self.namespace, body["metadata"]["name"])
            kept = {**(known or {}).get("metadata", {}), **placed["metadata"]}
            self.cluster.put(resource, {**(known or {}), **placed, "kind": kind, "metadata": kept})

    async def set_image(self, name: str, image: str) -> None:
        """Edit a Deployment's image as somebody with kubectl would."""
        if self._kubectl is not None:
            self._kubectl.run("set", "image", f"deployment/{name}", f"worker={image}")
            return
        assert isinstance(self.cluster, FakeCluster)
        edited = await self.deployment(name)
        edited["spec"]["template"]["spec"]["containers"][0]["image"] = image
        self.cluster.put(DEPLOYMENTS, edited)

    async def remove(self, resource: Resource, name: str, *, orphan: bool = False) -> None:
        """Delete an object as somebody with kubectl would."""
        if self._kubectl is not None:
            cascade = "orphan" if orphan else "foreground"
            self._kubectl.run("delete", resource.plural, name, f"--cascade={cascade}", "--timeout=50s")
            return
        assert isinstance(self.cluster, FakeCluster)
        self.cluster.remove(resource, self.namespace, name)
        for (plural, _, _), body in list(self.cluster.objects.items()):
            owned = any(owner["name"] == name for owner in body["metadata"].get("ownerReferences", ()))
            if plural == DEPLOYMENTS.plural and owned and orphan:
                del body["metadata"]["ownerReferences"]
            elif plural == DEPLOYMENTS.plural and owned:
                self.cluster.remove(DEPLOYMENTS, self.namespace, body["metadata"]["name"])

    async def reconcile(self, name: str) -> str:
        """Let the store catch up, then reconcile."""
        bodies, version = await self.cluster.list_objects(CONSUMERS, self.namespace)
        self.store.consumers.learn(map(read_consumer, bodies), version, self.namespace, time.monotonic())
        bodies, version = await self.cluster.list_objects(DEPLOYMENTS, self.namespace, naming.WATCH_SELECTOR)
        self.store.deployments.learn(map(read_deployment, bodies), version, self.namespace, time.monotonic())
        return await self.reconciler.reconcile(Key(self.namespace, name))

    async def deployment(self, name: str) -> Manifest:
        """Return the Deployment."""
        found = await self.cluster.read(DEPLOYMENTS, self.namespace, name)
        assert found is not None
        return found

    async def ready(self, name: str) -> dict[str, Any]:
        """Return the condition Ready."""
        found = await self.cluster.read(CONSUMERS, self.namespace, name)
        assert found is not None
        (condition,) = (c for c in found["status"]["conditions"] if c["type"] == "Ready")
        return dict(condition)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
async def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    if request.param == "fake":
        yield Bench(FakeCluster(), "plant", None)
        return
    kubectl: Kubectl = request.getfixturevalue("kubectl")
    monkeypatch.setenv("KUBECONFIG", kubectl.kubeconfig)
    async with await Cluster.connect() as cluster:
        yield Bench(cluster, kubectl.namespace, kubectl)


async def write_consumer(bench: Bench, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> None:
    # Without workers: a node that pulls no image makes no difference to what is tried here.
    await bench.write(CONSUMERS, manifest(name, {"replicas": 0, **(spec or {})}, **metadata), "TelemetryConsumer")


def foreign_deployment(name: str) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "theirs"}},
            "template": {
                "metadata": {"labels": {"app": "theirs"}},
                "spec": {"containers": [{"name": "theirs", "image": "theirs:1"}]},
            },
        },
    }


async def test_a_consumer_becomes_a_deployment_that_it_owns(bench: Bench) -> None:
    await write_consumer(bench, "new")
    await bench.reconcile("new")
    deployment = await bench.deployment("new")
    consumer = await bench.cluster.read(CONSUMERS, bench.namespace, "new")
    assert consumer is not None
    (owner,) = deployment["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (consumer["metadata"]["uid"], True, True)
    assert set(consumer["status"]) == STATUS_FIELDS
    assert consumer["status"]["groupId"] == f"{bench.namespace}.new"
    assert consumer["status"]["observedGeneration"] == consumer["metadata"]["generation"]
    assert "finalizers" not in consumer["metadata"]


async def test_applying_the_same_again_changes_nothing(bench: Bench) -> None:
    await write_consumer(bench, "same")
    await bench.reconcile("same")
    before = await bench.deployment("same")
    bench.restart()
    await bench.reconcile("same")
    after = await bench.deployment("same")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_change_by_hand_is_undone(bench: Bench) -> None:
    await write_consumer(bench, "drift")
    await bench.reconcile("drift")
    before = await bench.deployment("drift")
    await bench.set_image("drift", "theirs:1")
    await bench.reconcile("drift")
    mended = await bench.deployment("drift")
    assert mended["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]
    assert mended["metadata"]["generation"] == before["metadata"]["generation"] + 2


async def test_a_deployment_deleted_by_hand_comes_back(bench: Bench) -> None:
    await write_consumer(bench, "back")
    await bench.reconcile("back")
    before = await bench.deployment("back")
    await bench.remove(DEPLOYMENTS, "back")
    await bench.reconcile("back")
    assert (await bench.deployment("back"))["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_foreign_deployment_is_left_alone_until_it_is_gone(bench: Bench) -> None:
    await bench.write(DEPLOYMENTS, foreign_deployment("taken"), "Deployment")
    before = await bench.deployment("taken")
    await write_consumer(bench, "taken")
    assert await bench.reconcile("taken") == "Reconciling"
    ready = await bench.ready("taken")
    assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
    assert "another name" in ready["message"]
    after = await bench.deployment("taken")
    assert after["spec"] == before["spec"]
    assert "ownerReferences" not in after["metadata"]
    await bench.remove(DEPLOYMENTS, "taken")
    await bench.reconcile("taken")
    assert (await bench.deployment("taken"))["metadata"]["labels"][naming.LABEL_CONSUMER] == "taken"


async def test_a_foreign_deployment_made_in_the_same_instant_is_not_taken_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that it comes between our look and our apply, when we apply, then the server refuses."""
    await bench.write(DEPLOYMENTS, foreign_deployment("race"), "Deployment")
    await write_consumer(bench, "race")
    read = bench.cluster.read

    async def see_nothing(resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        return None if resource is DEPLOYMENTS else await read(resource, namespace, name)

    with monkeypatch.context() as patched:
        patched.setattr(bench.cluster, "read", see_nothing)
        with pytest.raises(Refused):
            await bench.reconcile("race")
    assert "ownerReferences" not in (await bench.deployment("race"))["metadata"]
    assert (await bench.ready("race"))["status"] == "False"


async def test_an_orphan_of_ours_is_taken_up(bench: Bench) -> None:
    await write_consumer(bench, "orphan")
    await bench.reconcile("orphan")
    before = await bench.deployment("orphan")
    await bench.remove(CONSUMERS, "orphan", orphan=True)
    await write_consumer(bench, "orphan")
    await bench.reconcile("orphan")
    after = await bench.deployment("orphan")
    consumer = await bench.cluster.read(CONSUMERS, bench.namespace, "orphan")
    assert consumer is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["ownerReferences"][0]["uid"] == consumer["metadata"]["uid"]


async def test_a_handlers_config_map_is_waited_for_and_rolls_the_pods(bench: Bench) -> None:
    handler = {"class": "C", "configMap": {"name": "code", "key": "handler.py"}}
    await write_consumer(bench, "code", {"handler": handler})
    assert await bench.reconcile("code") == "Reconciling"
    ready = await bench.ready("code")
    assert ready["reason"] == "HandlerConfigMapMissing"
    assert "kubectl create configmap code --from-file=handler.py" in ready["message"]
    assert await bench.cluster.read(DEPLOYMENTS, bench.namespace, "code") is None
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "code"},
        "data": {"handler.py": "class C: ..."},
    }
    await bench.write(CONFIG_MAPS, code, "ConfigMap")
    await bench.reconcile("code")
    template = (await bench.deployment("code"))["spec"]["template"]
    assert template["metadata"]["annotations"][naming.ANNOTATION_HANDLER_HASH]


async def test_the_restart_annotation_rolls_the_pods(bench: Bench) -> None:
    await write_consumer(bench, "restart")
    await bench.reconcile("restart")
    before = (await bench.deployment("restart"))["spec"]["template"]
    await write_consumer(bench, "restart", annotations={naming.ANNOTATION_RESTART: "1"})
    await bench.reconcile("restart")
    assert (await bench.deployment("restart"))["spec"]["template"] != before


async def test_a_spec_that_only_the_operator_can_refuse_is_stalled(bench: Bench) -> None:
    await write_consumer(bench, "stalled", {"startFrom": "2026-02-31T00:00:00Z"})
    assert await bench.reconcile("stalled") == "Stalled"
    ready = await bench.ready("stalled")
    assert ready["reason"] == "InvalidSpec"
    assert "write earliest, latest, or a time" in ready["message"]
    assert await bench.cluster.read(DEPLOYMENTS, bench.namespace, "stalled") is None


async def test_the_status_of_a_successor_is_not_written_by_the_predecessors_reconcile(bench: Bench) -> None:
    await write_consumer(bench, "twice")
    await bench.reconcile("twice")
    stale = bench.store.consumers.get(bench.namespace, "twice")
    assert stale is not None
    await bench.remove(CONSUMERS, "twice")
    await write_consumer(bench, "twice")
    bench.store.consumers.see_gone(stale)
    bench.store.consumers.see(stale)
    assert await bench.reconciler.reconcile(Key(bench.namespace, "twice")) in {"gone", "Ready", "Reconciling"}
    found = await bench.cluster.read(CONSUMERS, bench.namespace, "twice")
    assert found is not None
    assert found.get("status", {}) == {}
