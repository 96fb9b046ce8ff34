"""The reconcile where only the calls show it, or only a fake can bring it about. The rest: tests/contract."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from telemetry_operator import naming
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, DEPLOYMENTS, EVENTS
from telemetry_operator.errors import Conflict, Invalid, Leaving, Refused, Unavailable
from telemetry_operator.facts import Problem, read_consumer, read_deployment
from telemetry_operator.reconcile import LATER, Reconciler
from telemetry_operator.store import Store
from unit.operator.fake_cluster import FakeCluster
from unit.operator.samples import DEFAULTS, KEY, consumer_body, pod_fact

CONFIG_MAP_HANDLER = {"class": "Alarm", "configMap": {"name": "code", "key": "alarm.py"}}


class Bench:
    """A reconciler over a fake cluster. ``sync`` is what the watches do."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.store = Store()
        self.time = 0.0
        self.pressed = False
        self.reconciler = self.restart()

    def restart(self) -> Reconciler:
        """A new process: what the old one remembered is gone."""
        self.reconciler = Reconciler(
            self.cluster,
            self.store,
            DEFAULTS,
            now=lambda: datetime(2026, 2, 20, 22, 45, tzinfo=UTC),
            clock=lambda: self.time,
            is_pressed=lambda: self.pressed,
        )
        return self.reconciler

    def write(self, spec: dict[str, Any] | None = None, **metadata: Any) -> None:
        body = self.cluster.put(CONSUMERS, consumer_body(spec, **metadata))
        self.store.consumers.see(read_consumer(body))

    def sync(self) -> None:
        for (plural, _, _), body in self.cluster.objects.items():
            if plural == "telemetryconsumers":
                self.store.consumers.see(read_consumer(body))
            if plural == "deployments" and naming.LABEL_CONSUMER in body["metadata"].get("labels", {}):
                self.store.deployments.see(read_deployment(body))

    async def reconcile(self) -> str:
        self.cluster.calls.clear()
        outcome = await self.reconciler.reconcile(KEY)
        self.sync()
        return outcome

    @property
    def deployment(self) -> dict[str, Any]:
        return self.cluster.objects[(DEPLOYMENTS.plural, *KEY)]

    def set_deployment_status(self, **status: int) -> None:
        self.cluster.put(DEPLOYMENTS, {**self.deployment, "status": status}, naming.OPERATOR)
        self.sync()

    def make_ready(self) -> None:
        generation = self.deployment["metadata"]["generation"]
        workers = self.deployment["spec"]["replicas"]
        self.set_deployment_status(
            observedGeneration=generation,
            replicas=workers,
            updatedReplicas=workers,
            availableReplicas=workers,
            readyReplicas=workers,
        )

    @property
    def ready(self) -> dict[str, Any]:
        condition: dict[str, Any] = self.cluster.status_of(*KEY)["conditions"][0]
        return condition

    @property
    def events(self) -> list[str]:
        return [body["reason"] for (plural, _, _), body in self.cluster.objects.items() if plural == EVENTS.plural]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_steady_consumer_costs_no_call(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    bench.make_ready()
    assert await bench.reconcile() == "Ready"
    for _ in range(10):
        assert await bench.reconcile() == "Ready"
        assert bench.cluster.calls == []


async def test_the_first_reconcile_applies_reports_and_sends_one_event(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    assert bench.cluster.calls == [
        "PATCH deployments",
        "PATCH telemetryconsumers status",
        "POST events",
    ]


async def test_while_others_wait_for_their_deployment_only_what_was_made_is_reported_later(bench: Bench) -> None:
    bench.write()
    bench.pressed = True
    assert await bench.reconcile() == LATER
    assert bench.cluster.calls == ["PATCH deployments"]
    assert await bench.reconcile() == "Reconciling"
    assert bench.ready["reason"] == "RollingOut"


async def test_after_a_restart_each_consumer_is_applied_once_and_its_pods_stay(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    bench.make_ready()
    await bench.reconcile()
    generation = bench.deployment["metadata"]["generation"]
    bench.restart()
    await bench.reconcile()
    assert bench.cluster.calls == ["PATCH deployments"]
    await bench.reconcile()
    assert bench.cluster.calls == []
    assert bench.deployment["metadata"]["generation"] == generation


@pytest.mark.parametrize(
    "edit",
    [
        lambda metadata: metadata["labels"].pop("app.kubernetes.io/part-of"),
        lambda metadata: metadata["labels"].update({"app.kubernetes.io/managed-by": "me"}),
        lambda metadata: metadata.pop("ownerReferences"),
    ],
)
async def test_an_edit_that_leaves_the_generation_as_it_is_is_mended_too(
    bench: Bench, edit: Callable[[dict[str, Any]], object]
) -> None:
    bench.write()
    await bench.reconcile()
    before = copy.deepcopy(bench.deployment["metadata"])
    edited = copy.deepcopy(bench.deployment)
    edit(edited["metadata"])
    bench.cluster.put(DEPLOYMENTS, edited)
    bench.sync()
    await bench.reconcile()
    for field in ("labels", "ownerReferences"):
        assert bench.deployment["metadata"][field] == before[field]


async def test_events_come_with_transitions_only(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    bench.make_ready()
    await bench.reconcile()
    bench.write({"replicas": 3}, generation=2)
    await bench.reconcile()
    bench.set_deployment_status(
        observedGeneration=2, replicas=3, updatedReplicas=3, availableReplicas=2, readyReplicas=2
    )
    await bench.reconcile()
    bench.make_ready()
    await bench.reconcile()
    assert bench.events == ["RollingOut", "Running", "RollingOut", "Running"]


async def test_an_event_that_cant_be_sent_fails_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> dict[str, Any]:
        raise Refused("POST", 403, "Forbidden", "no events here")

    monkeypatch.setattr(bench.cluster, "create", refuse)
    bench.write()
    assert await bench.reconcile() == "Reconciling"


async def test_a_pods_problem_is_the_consumers_and_only_while_it_isnt_ready(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    template = bench.deployment["spec"]["template"]["metadata"]["annotations"]
    problem = Problem(reason="HandlerNotFound", message="no class X", hopeless=True)
    bench.store.pods.see(pod_fact("p", problem, template[naming.ANNOTATION_CONFIG_HASH]))
    assert await bench.reconcile() == "Stalled"
    assert (bench.ready["status"], bench.ready["reason"], bench.ready["message"]) == (
        "False",
        "HandlerNotFound",
        "no class X",
    )
    bench.make_ready()
    assert await bench.reconcile() == "Ready"


async def test_a_spec_that_cant_work_leaves_what_runs(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    bench.make_ready()
    await bench.reconcile()
    before = bench.deployment
    bench.write({"startFrom": "2026-02-31T00:00:00Z"}, generation=2)
    assert await bench.reconcile() == "Stalled"
    assert bench.deployment == before
    status = bench.cluster.status_of(*KEY)
    assert status["observedGeneration"] == 2
    assert (status["replicas"], status["readyReplicas"]) == (1, 1)
    assert "spec.startFrom" in bench.ready["message"]


async def test_the_config_map_is_read_once_a_minute_and_a_change_of_it_rolls_the_pods(bench: Bench) -> None:
    bench.cluster.put(
        CONFIG_MAPS, {"metadata": {"namespace": KEY.namespace, "name": "code"}, "data": {"alarm.py": "one"}}
    )
    bench.write({"handler": CONFIG_MAP_HANDLER})
    await bench.reconcile()
    bench.make_ready()
    await bench.reconcile()
    assert bench.cluster.calls == ["PATCH telemetryconsumers status", "POST events"]
    before = bench.deployment["spec"]["template"]["metadata"]["annotations"]
    bench.cluster.put(
        CONFIG_MAPS, {"metadata": {"namespace": KEY.namespace, "name": "code"}, "data": {"alarm.py": "two"}}
    )
    bench.time += 60
    await bench.reconcile()
    assert bench.cluster.calls[0] == "GET configmaps"
    after = bench.deployment["spec"]["template"]["metadata"]["annotations"]
    assert after[naming.ANNOTATION_HANDLER_HASH] != before[naming.ANNOTATION_HANDLER_HASH]
    bench.time += 30
    bench.make_ready()
    await bench.reconcile()
    assert "GET configmaps" not in bench.cluster.calls


async def test_a_config_map_that_is_gone_tears_nothing_down(bench: Bench) -> None:
    bench.cluster.put(
        CONFIG_MAPS, {"metadata": {"namespace": KEY.namespace, "name": "code"}, "data": {"alarm.py": "one"}}
    )
    bench.write({"handler": CONFIG_MAP_HANDLER})
    await bench.reconcile()
    bench.make_ready()
    await bench.reconcile()
    template = bench.deployment["spec"]["template"]
    bench.cluster.remove(CONFIG_MAPS, KEY.namespace, "code")
    bench.time += 60
    bench.write({"handler": CONFIG_MAP_HANDLER, "replicas": 2}, generation=2)
    assert await bench.reconcile() == "Reconciling"
    assert bench.ready["reason"] == "HandlerConfigMapMissing"
    assert bench.deployment["spec"]["template"] == template
    assert bench.deployment["spec"]["replicas"] == 2, "scaling goes on without it"


async def test_a_deployment_replaced_in_this_moment_is_looked_at_again(bench: Bench) -> None:
    bench.write()
    await bench.reconcile()
    bench.cluster.remove(DEPLOYMENTS, *KEY)
    bench.write({"replicas": 2}, generation=2)
    with pytest.raises(Unavailable, match="replaced in this moment"):
        await bench.reconciler.reconcile(KEY)
    await bench.reconcile()
    assert bench.deployment["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("error", "condition", "reason"),
    [
        (Invalid("PATCH", 422, "Invalid", "spec.x: bad"), "Stalled", "DeploymentInvalid"),
        (Refused("PATCH", 403, "Forbidden", "not allowed"), "Reconciling", "DeploymentRefused"),
        (Conflict("PATCH", 409, "Conflict", "held by kubectl"), "Reconciling", "NameConflict"),
    ],
)
async def test_a_refusal_is_reported_and_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Refused, condition: str, reason: str
) -> None:
    async def refuse(*_: object, **__: object) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(bench.cluster, "apply", refuse)
    bench.write()
    with pytest.raises(type(error)):
        await bench.reconcile()
    conditions = {c["type"]: c["status"] for c in bench.cluster.status_of(*KEY)["conditions"]}
    assert conditions[condition] == "True"
    assert bench.ready["reason"] == reason


async def test_in_a_namespace_that_is_on_its_way_out_nothing_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> dict[str, Any]:
        raise Leaving("PATCH", 403, "Forbidden", "being terminated")

    monkeypatch.setattr(bench.cluster, "apply", refuse)
    bench.write()
    assert await bench.reconcile() == "gone"
    assert bench.cluster.status_of(*KEY) == {}


async def test_an_api_server_that_is_away_is_an_error_and_no_verdict(bench: Bench) -> None:
    bench.write()
    bench.cluster.broken = Unavailable("no answer")
    with pytest.raises(Unavailable):
        await bench.reconcile()
    assert bench.cluster.status_of(*KEY) == {}


async def test_what_is_deleted_meanwhile_is_gone(bench: Bench) -> None:
    bench.write()
    bench.cluster.remove(CONSUMERS, *KEY)
    assert await bench.reconcile() == "gone"


async def test_what_is_being_deleted_gets_no_deployment(bench: Bench) -> None:
    bench.write(deletionTimestamp="2026-02-20T22:45:00Z")
    assert await bench.reconcile() == "gone"
    assert bench.cluster.calls == []


async def test_only_a_config_map_that_a_handler_is_in_is_forgotten(bench: Bench) -> None:
    bench.cluster.put(
        CONFIG_MAPS, {"metadata": {"namespace": KEY.namespace, "name": "code"}, "data": {"alarm.py": "x"}}
    )
    bench.write({"handler": CONFIG_MAP_HANDLER})
    await bench.reconcile()
    assert bench.reconciler.forget_config_map(KEY.namespace, "another") == []
    assert bench.reconciler.forget_config_map("elsewhere", "code") == []
    assert bench.reconciler.forget_config_map(KEY.namespace, "code") == [KEY]
    await bench.reconcile()
    assert "GET configmaps" in bench.cluster.calls
