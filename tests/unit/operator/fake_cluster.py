"""An API server in memory, as far as a reconcile can tell: resource versions, generations, owners of fields, uids.

The same tests run over it and over a real one (tests/contract/test_reconcile.py), so that it can't grow a mind of its
own.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any

from telemetry_operator import naming
from telemetry_operator.cluster import CONSUMERS, Cluster, Manifest, Resource
from telemetry_operator.errors import ClusterError, Conflict, Missing

Place = tuple[str, str | None, str]


class FakeCluster(Cluster):
    """Stands in for a cluster; ``calls`` has what was asked of it, ``broken`` makes every call fail."""

    def __init__(self) -> None:  # the real one's would open connections
        self.objects: dict[Place, Manifest] = {}
        self.calls: list[str] = []
        self.broken: ClusterError | None = None
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    def put(self, resource: Resource, body: Manifest, manager: str = "kubectl") -> Manifest:
        """Make or replace an object, as somebody with kubectl would."""
        metadata = body["metadata"]
        place = (resource.plural, metadata["namespace"], metadata["name"])
        known = self.objects.get(place)
        stored = copy.deepcopy(body)
        stored["metadata"].setdefault("uid", f"uid-{next(self._uids)}")
        stored["metadata"]["generation"] = 1
        if known is not None:
            changed = known.get("spec") != body.get("spec")
            stored["metadata"]["generation"] = known["metadata"]["generation"] + changed
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        stored["manager"] = manager
        self.objects[place] = stored
        return copy.deepcopy(stored)

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete an object."""
        del self.objects[(resource.plural, namespace, name)]

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Manifest], int]:
        self._note("GET", resource)
        found = [
            body
            for (plural, place, _), body in self.objects.items()
            if plural == resource.plural
            and namespace in {None, place}
            and (selector is None or selector in body["metadata"].get("labels", {}))
        ]
        return copy.deepcopy(found), next(self._versions)

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        self._note("GET", resource)
        return copy.deepcopy(self.objects.get((resource.plural, namespace, name)))

    async def apply(
        self, resource: Resource, manifest: Manifest, *, force: bool, manager: str = naming.OPERATOR
    ) -> Manifest:
        self._note("PATCH", resource)
        metadata = manifest["metadata"]
        known = self.objects.get((resource.plural, metadata["namespace"], metadata["name"]))
        uid = metadata.get("uid")
        if uid is not None and (known is None or known["metadata"]["uid"] != uid):
            raise Conflict("apply", 409, "Conflict", "uid mismatch")
        if known is not None and not force and known["manager"] != manager:
            raise Conflict("apply", 409, "Conflict", f"conflict with {known['manager']!r}")
        body = _merge(known or {}, manifest)
        if known is not None and body == known:
            return copy.deepcopy(known)
        return self.put(resource, body, manager)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Manifest:
        self._note("PATCH", resource, "status")
        known = self.objects.get((resource.plural, namespace, name))
        if known is None:
            raise Missing("patch", 404, "NotFound", name)
        if known["metadata"]["uid"] != uid:
            raise Conflict("patch", 409, "Conflict", "uid mismatch")
        return self.put(resource, {**known, "status": {**known.get("status", {}), **status}}, known["manager"])

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        self._note("POST", resource)
        generated = f"{manifest['metadata']['generateName']}{next(self._uids)}"
        return self.put(resource, {**manifest, "metadata": {**manifest["metadata"], "name": generated}})

    def status_of(self, namespace: str, name: str) -> dict[str, Any]:
        """Return a TelemetryConsumer's status."""
        found: dict[str, Any] = self.objects[(CONSUMERS.plural, namespace, name)].get("status", {})
        return found

    def _note(self, method: str, resource: Resource, subresource: str = "") -> None:
        self.calls.append(" ".join(filter(None, (method, resource.plural, subresource))))
        if self.broken is not None:
            raise self.broken


def _merge(known: Any, applied: Any) -> Any:
    # Lists are taken over whole: nothing in these tests adds an item to a list of ours.
    if isinstance(known, dict) and isinstance(applied, dict):
        return known | {name: _merge(known.get(name), value) for name, value in applied.items()}
    return copy.deepcopy(applied)
