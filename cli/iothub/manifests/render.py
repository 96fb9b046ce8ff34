"""What the operator would make of TelemetryConsumers: its own reconcile, over an API server in memory.

No decision of the operator is made here a second time; what it refuses, it refuses in its own words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from iothub.errors import ManifestProblem, UsageError
from iothub.hub.objects import ObjectStore
from iothub.manifests.config_maps import gather_config_maps
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import DEFAULT_NAMESPACE, Document, show_path
from iothub.options import DEFAULT_RELEASE
from telemetry.process import find_version
from telemetry_operator import naming
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, DEPLOYMENTS, SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS
from telemetry_operator.errors import SettingsError
from telemetry_operator.facts import read_consumer
from telemetry_operator.naming import Key
from telemetry_operator.objects.deployment import Manifest, build_worker_defaults
from telemetry_operator.reconcile import Reconciler
from telemetry_operator.settings import Settings, load_settings
from telemetry_operator.store import Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The reconcile writes times into its status only, which nobody sees here."""
_OWN_METADATA = ("name", "namespace", "labels", "annotations", "ownerReferences")
"""What the operator applies; the rest is the API server's."""


def build_settings(variables: Mapping[str, str | None]) -> Settings:
    """Return an operator's settings: these variables, the chart's for those that are None. Raises UsageError."""
    given = {name: value for name, value in variables.items() if value is not None}
    try:
        return load_settings(build_chart_variables() | given)
    except SettingsError as error:
        raise UsageError(str(error)) from error


def build_chart_variables(release: str = DEFAULT_RELEASE, namespace: str = DEFAULT_NAMESPACE) -> dict[str, str]:
    """Return the operator's variables that reach the workers, as the chart sets them where no value is given."""
    return {
        "OPERATOR_WORKER_IMAGE": f"iot-hub/worker:{find_version()}",
        "OPERATOR_WORKER_IMAGE_PULL_POLICY": "IfNotPresent",
        "KAFKA_BOOTSTRAP_SERVERS": f"{release}-kafka.{namespace}.svc:9092",
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "json",
    }


def render_documents(documents: Sequence[Document], settings: Settings) -> list[Manifest]:
    """Return the objects that an operator with ``settings`` would make of the TelemetryConsumers, in their order.

    The owner reference, without which nothing is deleted with its TelemetryConsumer, needs the uid that the API server
    gives: it is there only where the document has one. Raises ManifestProblem where the operator would make nothing.
    """
    return asyncio.run(_render(documents, settings))


async def _render(documents: Sequence[Document], settings: Settings) -> list[Manifest]:
    cluster, store = ObjectStore(), Store()
    # What KEDA will be given where it is there.
    cluster.unserved.clear()
    for config_map in gather_config_maps(documents):
        cluster.put(CONFIG_MAPS, config_map)
    consumers = [document for document in documents if document.is_consumer]
    for document in consumers:
        store.consumers.see(read_consumer(cluster.put(CONSUMERS, _as_new(document))))
    defaults = build_worker_defaults(settings)
    reconciler = Reconciler(cluster, store, defaults, now=lambda: _EPOCH, clock=lambda: 0.0)
    return [manifest for document in consumers for manifest in await _render_one(document, reconciler, cluster)]


async def _render_one(document: Document, reconciler: Reconciler, cluster: ObjectStore) -> list[Manifest]:
    key = Key(document.namespace, document.name)
    await reconciler.reconcile(key)
    deployment = cluster.get(DEPLOYMENTS, key.namespace, naming.deployment_name(key))
    if deployment is None:
        consumer = cluster.get(CONSUMERS, *key) or {}
        raise ManifestProblem(f"{show_path(document.path)}:{document.line}: {_find_reason(consumer)}")
    name = naming.scaled_object_name(key)
    beside = (cluster.get(resource, key.namespace, name) for resource in (TRIGGER_AUTHENTICATIONS, SCALED_OBJECTS))
    owned = "uid" in document.body["metadata"]
    return [_as_applied(made, owned=owned) for made in (deployment, *beside) if made is not None]


def _as_new(document: Document) -> dict[str, Any]:
    """Return the document as the API server would keep it, before the operator has looked at it."""
    body = apply_defaults({field: value for field, value in document.body.items() if field != "status"})
    return body | {"metadata": {**body["metadata"], "namespace": document.namespace}}


def _as_applied(made: Mapping[str, Any], *, owned: bool) -> Manifest:
    metadata = {
        name: made["metadata"][name]
        for name in _OWN_METADATA
        if name in made["metadata"] and (owned or name != "ownerReferences")
    }
    return {**made, "metadata": metadata}


def _find_reason(consumer: Mapping[str, Any]) -> str:
    conditions = consumer.get("status", {}).get("conditions", [])
    return next(
        (str(one["message"]) for one in conditions if one["type"] == "Ready"), "the operator makes nothing of it"
    )
