"""``iothub scale``: what ``kubectl scale telemetryconsumer`` does, with the CRD's own bounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iothub.errors import UsageError
from iothub.hub.objects import ObjectStore
from iothub.hub.workloads import apply_object, find_consumers
from iothub.manifests.checks import check_document
from iothub.manifests.documents import Document
from telemetry_operator.api import CONSUMERS

_SERVERS_OWN = ("uid", "generation", "resourceVersion", "creationTimestamp")


def scale(store: ObjectStore, request: Mapping[str, Any]) -> dict[str, Any]:
    """Set the replicas of the TelemetryConsumer that the request names. Raises UsageError where that can't be."""
    name, replicas = str(request.get("name", "")), request.get("replicas")
    keys = find_consumers(store, name)
    if not keys:
        known = ", ".join(sorted(body["metadata"]["name"] for body in store.find(CONSUMERS))) or "none"
        raise UsageError(f"there is no TelemetryConsumer {name!r} in this hub; there are: {known}")
    if len(keys) > 1:
        raise UsageError(f"{name!r} is in several namespaces; write one of: {', '.join(map(str, keys))}")
    body = store.get(CONSUMERS, *keys[0])
    if body is None:
        raise UsageError(f"TelemetryConsumer {name!r} has just gone")
    scaled = {**body, "spec": {**body["spec"], "replicas": replicas}}
    written = {part: value for part, value in scaled["metadata"].items() if part not in _SERVERS_OWN}
    judged = {**{part: scaled[part] for part in ("apiVersion", "kind", "spec")}, "metadata": written}
    for problem in check_document(Document(Path(name), 1, judged), old=body):
        if not problem.warning:
            raise UsageError(f"{problem.field}: {problem.sentence}" if problem.field else problem.sentence)
    apply_object(store, CONSUMERS, scaled)
    return {"name": keys[0].name, "namespace": keys[0].namespace, "replicas": replicas}
