"""The cluster on this machine: the operator itself over objects in memory, and the controllers that act on them.

Nothing is decided here that the operator decides on a cluster: its `Controller` runs as it is, told of every change at
once where a watch would tell it.
"""

from __future__ import annotations

import copy

from iothub.hub.deployments import DeploymentController
from iothub.hub.events import Event, Report
from iothub.hub.objects import ObjectStore
from iothub.hub.pods import Kubelet, Machine
from telemetry_operator import naming
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, DEPLOYMENTS, EVENTS, PODS, Manifest, Resource
from telemetry_operator.controller import Controller
from telemetry_operator.kafka.observer import Observer
from telemetry_operator.kafka.settings import load_kafka_settings
from telemetry_operator.naming import Key
from telemetry_operator.settings import load_settings

IMAGE = "this-machine"
"""Stands where a cluster has the worker image: the Python that runs the hub."""

LOOK_SECONDS = 5.0
"""Between two looks at the groups: few groups, and a Kafka next door."""


class Workloads:
    """TelemetryConsumers and what runs for them."""

    def __init__(
        self, store: ObjectStore, machine: Machine, bootstrap_servers: str, report: Report, *, asks_kafka: bool
    ) -> None:
        """``asks_kafka`` is whether the Kafka there can tell of its groups; the one in memory can't."""
        self._store = store
        self._report = report
        settings = {
            "OPERATOR_WORKER_IMAGE": IMAGE,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "LOG_FORMAT": "console",
        }
        kafka = load_kafka_settings(settings)
        self._operator = Controller(
            load_settings(settings),
            store,
            observer=(lambda on_news: Observer(kafka, on_news=on_news, interval=LOOK_SECONDS)) if asks_kafka else None,
        )
        self._foreign_images: set[str] = set()
        store.watch(CONSUMERS, lambda body, gone: self._operator.see_consumer(body, gone=gone))
        store.watch(DEPLOYMENTS, lambda body, gone: self._operator.see_deployment(body, gone=gone))
        store.watch(PODS, lambda body, gone: self._operator.see_pod(body, gone=gone))
        store.watch(CONFIG_MAPS, self._see_config_map)
        store.watch(EVENTS, self._see_event)
        store.watch(PODS, self._see_pod)
        self._deployments = DeploymentController(store)
        self._kubelet = Kubelet(machine)

    async def start(self) -> None:
        """Begin to work on what the store holds and will hold."""
        await self._operator.wait_for_cluster()
        self._operator.start()
        self._deployments.start()

    async def stop(self) -> None:
        """End every worker in order: what it has in hand is finished and committed."""
        await self._operator.stop()
        await self._deployments.stop()
        await self._kubelet.stop()

    def _see_config_map(self, body: Manifest, gone: bool) -> None:
        self._operator.see_config_map(body["metadata"]["namespace"], body["metadata"]["name"])

    def _see_pod(self, body: Manifest, gone: bool) -> None:
        image = body["spec"]["containers"][0]["image"]
        consumer = body["metadata"]["labels"][naming.LABEL_CONSUMER]
        if image != IMAGE and consumer not in self._foreign_images:
            self._foreign_images.add(consumer)
            sentence = f"{consumer}: the image {image} can't be run here; its workers run with this Python instead"
            self._report(Event(sentence, kind="limit", subject=consumer))

    def _see_event(self, body: Manifest, gone: bool) -> None:
        """Tell the operator's Events; they are not kept."""
        if gone:
            return
        name = body["regarding"]["name"]
        self._report(Event(f"{name}: {body['reason']}: {body['note']}", kind="condition", subject=name))
        self._store.remove(EVENTS, body["metadata"]["namespace"], body["metadata"]["name"])


def list_consumers(store: ObjectStore) -> list[Manifest]:
    """Return the TelemetryConsumers with their statuses, by namespace and name."""
    found = copy.deepcopy(store.find(CONSUMERS))
    return sorted(found, key=lambda body: (body["metadata"]["namespace"], body["metadata"]["name"]))


def list_groups(store: ObjectStore) -> tuple[str, ...]:
    """Return the consumer groups of the TelemetryConsumers, as far as the operator has told them."""
    groups = (body.get("status", {}).get("groupId") for body in store.find(CONSUMERS))
    return tuple(sorted({group for group in groups if group}))


def find_consumers(store: ObjectStore, name: str) -> list[Key]:
    """Return the TelemetryConsumers that ``name``, or ``namespace/name``, means."""
    namespace, slash, short = name.rpartition("/")
    keys = [Key(body["metadata"]["namespace"], body["metadata"]["name"]) for body in store.find(CONSUMERS)]
    return [key for key in keys if key.name == short and (not slash or key.namespace == namespace)]


def apply_object(store: ObjectStore, resource: Resource, body: Manifest) -> None:
    """Write an object as ``kubectl apply`` would: what the server knows of it is kept."""
    metadata = body["metadata"]
    known = store.get(resource, metadata["namespace"], metadata["name"])
    status = {"status": known["status"]} if known is not None and "status" in known else {}
    store.put(resource, {**body, **status})


def delete_consumer(store: ObjectStore, key: Key) -> None:
    """Delete a TelemetryConsumer, and by its owner reference the Deployment; its pods follow."""
    body = store.get(CONSUMERS, *key)
    if body is None:
        return
    store.remove(CONSUMERS, *key)
    for deployment in store.find(DEPLOYMENTS, key.namespace):
        owners = deployment["metadata"].get("ownerReferences", ())
        if any(owner["uid"] == body["metadata"]["uid"] for owner in owners):
            store.remove(DEPLOYMENTS, key.namespace, deployment["metadata"]["name"])
