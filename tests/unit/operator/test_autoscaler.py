"""ScaledObjects as reconciles leave them, with KEDA and without."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from telemetry_operator.api import CONSUMERS, DEPLOYMENTS, EVENTS, SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS
from telemetry_operator.errors import Refused, Unavailable
from telemetry_operator.facts import read_consumer, read_deployment, read_scaled_object
from telemetry_operator.reconcile import Reconciler
from telemetry_operator.store import Store
from unit.operator.fake_cluster import FakeCluster
from unit.operator.samples import DEFAULTS, KEY, consumer_body

SCALING = {"autoscaling": {"maxReplicas": 4}}
SECRET = {"kafka": {"securityProtocol": "SSL", "secretRef": {"name": "my-kafka"}}}


class Bench:
    """A reconciler over a fake cluster with KEDA. ``list_scaled_objects`` is what the periodic pass does."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.unserved.clear()
        self.store = Store()
        self.time = 0.0
        self.restart()

    def restart(self) -> None:
        """Start a process that remembers nothing."""
        self.store.scaled_objects = Store().scaled_objects
        self._reconciler = Reconciler(
            self.cluster,
            self.store,
            DEFAULTS,
            now=lambda: datetime(2026, 2, 20, 22, 45, tzinfo=UTC),
            clock=lambda: self.time,
        )

    async def write(self, spec: dict[str, Any]) -> None:
        """Write the TelemetryConsumer, and reconcile twice: the second time changes nothing any more."""
        self.store.consumers.see(read_consumer(self.cluster.put(CONSUMERS, consumer_body(spec))))
        await self.reconcile()

    async def reconcile(self) -> list[str]:
        """Reconcile; return the calls about KEDA's objects."""
        self.cluster.calls.clear()
        await self._reconciler.reconcile(KEY)
        deployment = self.cluster.get(DEPLOYMENTS, *KEY)
        if deployment is not None:
            self.store.deployments.see(read_deployment(deployment))
        return [call for call in self.cluster.calls if "scaledobjects" in call or "triggerauth" in call]

    async def list_scaled_objects(self) -> None:
        bodies, version = await self.cluster.list_objects(SCALED_OBJECTS, None)
        self.store.scaled_objects.learn(map(read_scaled_object, bodies), version, None, self.time)

    def set_ready(self, status: str) -> None:
        """Say of the ScaledObject what KEDA would."""
        body = self.cluster.get(SCALED_OBJECTS, *KEY)
        assert body is not None
        ready = {"type": "Ready", "status": status, "reason": "Said", "message": "by KEDA"}
        self.cluster.put_status(SCALED_OBJECTS, body, {"conditions": [ready]})

    @property
    def scaled_object(self) -> dict[str, Any] | None:
        return self.cluster.get(SCALED_OBJECTS, *KEY)

    @property
    def condition(self) -> tuple[str, str] | None:
        """Status and reason of AutoscalingReady."""
        conditions = {condition["type"]: condition for condition in self.cluster.status_of(*KEY)["conditions"]}
        found = conditions.get("AutoscalingReady")
        return (found["status"], found["reason"]) if found is not None else None

    @property
    def events(self) -> list[str]:
        return [body["reason"] for body in self.cluster.find(EVENTS)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_it_is_made_and_once_keda_has_taken_it_up_costs_no_call(bench: Bench) -> None:
    await bench.write(SCALING)
    assert bench.condition == ("Unknown", "ScaledObjectPending")
    bench.set_ready("True")
    assert await bench.reconcile() == ["GET scaledobjects"]
    assert bench.condition == ("True", "Scaling")
    for _ in range(3):
        assert await bench.reconcile() == []


async def test_without_keda_the_replicas_go_on_and_it_is_looked_for_once_a_minute(bench: Bench) -> None:
    bench.cluster.unserved.add(SCALED_OBJECTS)
    await bench.write({**SCALING, "replicas": 2})
    assert bench.condition == ("False", "KedaMissing")
    deployment = bench.cluster.get(DEPLOYMENTS, *KEY)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 2
    assert await bench.reconcile() == []
    assert bench.events.count("KedaMissing") == 1
    bench.cluster.unserved.clear()
    bench.time = 60
    await bench.reconcile()
    assert bench.scaled_object is not None


async def test_an_edit_of_it_is_mended_once_a_list_has_shown_it(bench: Bench) -> None:
    await bench.write(SCALING)
    bench.set_ready("True")
    await bench.reconcile()
    edited = bench.scaled_object
    assert edited is not None
    bench.cluster.put(SCALED_OBJECTS, {**edited, "spec": {**edited["spec"], "maxReplicaCount": 99}})
    await bench.list_scaled_objects()
    await bench.reconcile()
    assert bench.scaled_object is not None
    assert bench.scaled_object["spec"]["maxReplicaCount"] == 4


async def test_it_goes_when_it_is_no_longer_asked_for(bench: Bench) -> None:
    await bench.write({**SCALING, **SECRET})
    assert bench.cluster.get(TRIGGER_AUTHENTICATIONS, *KEY) is not None
    bench.restart()
    await bench.list_scaled_objects()
    await bench.write(SECRET)
    assert bench.scaled_object is None
    assert bench.cluster.get(TRIGGER_AUTHENTICATIONS, *KEY) is None
    assert bench.condition is None


async def test_what_names_the_secret_goes_with_the_secret(bench: Bench) -> None:
    await bench.write({**SCALING, **SECRET})
    await bench.write(SCALING)
    assert bench.scaled_object is not None
    assert bench.cluster.get(TRIGGER_AUTHENTICATIONS, *KEY) is None


@pytest.mark.parametrize("resource", [SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS], ids=lambda one: one.plural)
async def test_somebody_elses_is_left_alone(bench: Bench, resource: Any) -> None:
    foreign = {"metadata": {"namespace": KEY.namespace, "name": KEY.name}, "spec": {"mine": True}}
    bench.cluster.put(resource, foreign)
    await bench.write({**SCALING, **SECRET})
    assert bench.condition == ("False", "NameConflict")
    await bench.write(SECRET)
    found = bench.cluster.get(resource, *KEY)
    assert found is not None
    assert found["spec"] == {"mine": True}


async def test_one_that_is_made_in_this_instant_is_not_taken_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a look that shows nothing, when somebody makes it before the apply, then it stays as it is."""
    read = bench.cluster.read

    async def read_then_meddle(resource: Any, namespace: str | None, name: str) -> Any:
        found = await read(resource, namespace, name)
        if resource == SCALED_OBJECTS and found is None:
            bench.cluster.put(SCALED_OBJECTS, {"metadata": {"namespace": namespace, "name": name}, "spec": {"mine": 1}})
        return found

    monkeypatch.setattr(bench.cluster, "read", read_then_meddle)
    with pytest.raises(Unavailable, match="was made in this moment"):
        await bench.write(SCALING)
    assert bench.scaled_object is not None
    assert bench.scaled_object["spec"] == {"mine": 1}


async def test_a_refusal_is_a_condition_and_the_workers_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = bench.cluster.apply

    async def refuse(resource: Any, manifest: Any, **rest: Any) -> Any:
        if resource == SCALED_OBJECTS:
            raise Refused("PATCH", 403, "Forbidden", "admission webhook denied the request")
        return await apply(resource, manifest, **rest)

    monkeypatch.setattr(bench.cluster, "apply", refuse)
    await bench.write(SCALING)
    assert bench.condition == ("False", "ScaledObjectRefused")
    assert bench.cluster.get(DEPLOYMENTS, *KEY) is not None
