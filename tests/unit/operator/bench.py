"""An operator's reconcile over a cluster in memory and a Kafka that answers what a test says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, DEPLOYMENTS, EVENTS
from telemetry_operator.facts import read_consumer, read_deployment
from telemetry_operator.groups import Groups
from telemetry_operator.kafka.facts import Look
from telemetry_operator.reconcile import Reconciler
from telemetry_operator.store import Store
from unit.operator.fake_cluster import FakeCluster
from unit.operator.kafka_samples import AT, FixedObserver, facts_of
from unit.operator.samples import DEFAULTS, KEY, consumer_body


class Bench:
    """An operator over a cluster in memory and a Kafka that answers what a test says; pods go when a test says so."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.unserved.clear()
        self.observer = FixedObserver()
        self.now = AT
        self.restart()

    def restart(self) -> None:
        """Another process, that knows only what the cluster holds."""
        self.store = Store()
        self.reconciler = Reconciler(
            self.cluster,
            self.store,
            DEFAULTS,
            now=lambda: self.now,
            clock=lambda: 0.0,
            groups=Groups(self.observer),
        )
        self.see()

    def write(self, spec: dict[str, Any] | None = None, *, reset: str | None = None) -> None:
        """Write the TelemetryConsumer, keeping its status."""
        annotations = {} if reset is None else {naming.ANNOTATION_RESET: reset}
        known = self.cluster.get(CONSUMERS, *KEY) or {}
        body = consumer_body(spec, annotations=annotations)
        self.cluster.put(CONSUMERS, body | ({"status": known["status"]} if "status" in known else {}))

    async def reconcile(self) -> str:
        """Reconcile; ``cluster.calls`` are those that it took."""
        self.see()
        self.cluster.calls.clear()
        return await self.reconciler.reconcile(KEY)

    def show(self, seconds: int, **changes: Any) -> None:
        """Have Kafka asked ``seconds`` after the first time."""
        (reading,) = self.observer.watched
        facts = facts_of(reading, observed_at=AT + timedelta(seconds=seconds), **changes)
        self.observer.looks[reading] = Look(facts=facts, trouble=None)

    async def run_workers(self, spec: dict[str, Any] | None = None) -> None:
        """Make the TelemetryConsumer and its workers, all of them ready."""
        self.write(spec)
        await self.reconcile()
        self.settle()
        await self.reconcile()

    def settle(self) -> None:
        """Do what the Deployment's controller would: there are as many pods, and all of them are ready."""
        names = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
        counts = dict.fromkeys(names, self.workers)
        self.cluster.put_status(DEPLOYMENTS, self.deployment, counts | {"observedGeneration": self.generation})

    def see(self) -> None:
        for body in self.cluster.find(CONSUMERS):
            self.store.consumers.see(read_consumer(body))
        for body in self.cluster.find(DEPLOYMENTS):
            self.store.deployments.see(read_deployment(body))

    @property
    def deployment(self) -> dict[str, Any]:
        found = self.cluster.get(DEPLOYMENTS, *KEY)
        assert found is not None
        return found

    @property
    def workers(self) -> int:
        return int(self.deployment["spec"]["replicas"])

    @property
    def generation(self) -> int:
        return int(self.deployment["metadata"]["generation"])

    @property
    def start_from(self) -> str | None:
        """What the pods are told of where a new group begins."""
        return read_deployment(self.deployment).start_from

    @property
    def reset(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.status_of(*KEY).get("offsetsReset", {})
        return found

    @property
    def ready(self) -> str:
        return str(self.cluster.status_of(*KEY)["conditions"][0]["reason"])

    @property
    def conditions(self) -> dict[str, str]:
        return {one["type"]: one["status"] for one in self.cluster.status_of(*KEY)["conditions"]}

    @property
    def events(self) -> list[str]:
        return [body["reason"] for body in self.cluster.find(EVENTS)]
