"""An operator's reconcile over a cluster in memory and a Kafka that answers what a test says."""

from __future__ import annotations

from typing import Any

from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, DEPLOYMENTS, EVENTS
from telemetry_operator.facts import read_consumer, read_deployment
from telemetry_operator.groups import Groups
from telemetry_operator.reconcile import Reconciler
from telemetry_operator.store import Store
from unit.operator.fake_cluster import FakeCluster
from unit.operator.kafka_samples import AT, FixedObserver
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
        self.see()
        return await self.reconciler.reconcile(KEY)

    async def run_workers(self, spec: dict[str, Any] | None = None) -> None:
        """Make the TelemetryConsumer and its workers, all of them ready."""
        self.write(spec)
        await self.reconcile()
        self.settle()
        await self.reconcile()

    def settle(self) -> None:
        """Do what the Deployment's controller would: there are as many pods, and all of them are ready."""
        deployment = self.cluster.get(DEPLOYMENTS, *KEY)
        assert deployment is not None
        names = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
        counts = dict.fromkeys(names, deployment["spec"]["replicas"])
        generation = deployment["metadata"]["generation"]
        self.cluster.put_status(DEPLOYMENTS, deployment, counts | {"observedGeneration": generation})

    def see(self) -> None:
        for body in self.cluster.find(CONSUMERS):
            self.store.consumers.see(read_consumer(body))
        for body in self.cluster.find(DEPLOYMENTS):
            self.store.deployments.see(read_deployment(body))

    @property
    def workers(self) -> int:
        deployment = self.cluster.get(DEPLOYMENTS, *KEY)
        assert deployment is not None
        return int(deployment["spec"]["replicas"])

    @property
    def generation(self) -> int:
        deployment = self.cluster.get(DEPLOYMENTS, *KEY)
        assert deployment is not None
        return int(deployment["metadata"]["generation"])

    @property
    def start_from(self) -> str | None:
        """What the pods are told of where a new group begins."""
        deployment = self.cluster.get(DEPLOYMENTS, *KEY)
        assert deployment is not None
        return read_deployment(deployment).start_from

    @property
    def reset(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.status_of(*KEY).get("offsetsReset", {})
        return found

    @property
    def ready(self) -> str:
        return str(self.cluster.status_of(*KEY)["conditions"][0]["reason"])

    @property
    def events(self) -> list[str]:
        return [body["reason"] for body in self.cluster.find(EVENTS)]
