"""The API server of this machine, in memory: objects with uids, generations, resource versions and owners of fields.

`telemetry_operator` runs over it as over a real one. The operator's own tests run over it and over a real one, one
suite (tests/contract/test_reconcile.py), so that it can't grow a mind of its own.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from telemetry_operator import naming
from telemetry_operator.api import SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS, Manifest, Resource
from telemetry_operator.errors import Conflict, Missing

Place = tuple[str, str | None, str]
Watcher = Callable[[Manifest, bool], None]
"""Is given an object, not to be changed, and whether it is gone."""


class ObjectStore:
    """A `telemetry_operator.api.ClusterApi` in memory. Stored bodies are replaced, never changed in place."""

    def __init__(self) -> None:
        self.objects: dict[Place, Manifest] = {}
        self.unserved = {SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS}
        """Kinds that are missing, as they are from a cluster without KEDA."""
        self._managers: dict[Place, str] = {}
        self._applied: dict[Place, Manifest] = {}
        """What was last applied server-side: what it named and no longer names goes."""
        self._watchers: dict[str, list[Watcher]] = {}
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    def watch(self, resource: Resource, watcher: Watcher) -> None:
        """Have ``watcher`` called, at once, whenever an object of that kind comes, changes or goes."""
        self._watchers.setdefault(resource.plural, []).append(watcher)

    def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """Return an object, not to be changed, None where there is none."""
        return self.objects.get((resource.plural, namespace, name))

    def find(self, resource: Resource, namespace: str | None = None) -> list[Manifest]:
        """Return the objects of a kind, not to be changed, in the order in which they came."""
        return [
            body
            for (plural, place, _), body in self.objects.items()
            if plural == resource.plural and namespace in {None, place}
        ]

    def put(self, resource: Resource, body: Manifest, manager: str = "kubectl") -> Manifest:
        """Make or replace an object, as somebody with kubectl would."""
        metadata = body["metadata"]
        place = (resource.plural, metadata["namespace"], metadata["name"])
        known = self.objects.get(place)
        stored = copy.deepcopy(body)
        kept = stored["metadata"]
        kept.setdefault("uid", known["metadata"]["uid"] if known else f"uid-{next(self._uids)}")
        kept["creationTimestamp"] = known["metadata"]["creationTimestamp"] if known else _format_now()
        kept["generation"] = 1
        if known is not None:
            kept["generation"] = known["metadata"]["generation"] + (known.get("spec") != body.get("spec"))
        kept["resourceVersion"] = str(next(self._versions))
        self.objects[place] = stored
        self._managers[place] = manager
        self._tell(resource, stored, gone=False)
        return copy.deepcopy(stored)

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete an object, and nothing that it owns."""
        place = (resource.plural, namespace, name)
        body = self.objects.pop(place)
        self._managers.pop(place, None)
        self._applied.pop(place, None)
        gone = {**body, "metadata": {**body["metadata"], "resourceVersion": str(next(self._versions))}}
        self._tell(resource, gone, gone=True)

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Manifest], int]:
        """Return copies of all objects of a namespace (None: of all), and the resource version they were listed at.

        ``selector`` is the name of a label that they bear.
        """
        self._check_served(resource)
        found = [
            body
            for body in self.find(resource, namespace)
            if selector is None or selector in body["metadata"].get("labels", {})
        ]
        return copy.deepcopy(found), next(self._versions)

    async def follow(
        self, resource: Resource, namespace: str | None, selector: str, version: int
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yield what happens to objects that bear the label ``selector``, from now on and for ever."""
        self._check_served(resource)
        happened: asyncio.Queue[tuple[str, Manifest]] = asyncio.Queue()

        def note(body: Manifest, gone: bool) -> None:
            metadata = body["metadata"]
            if selector in metadata.get("labels", {}) and namespace in {None, metadata["namespace"]}:
                happened.put_nowait(("DELETED" if gone else "MODIFIED", copy.deepcopy(body)))

        self.watch(resource, note)
        try:
            while True:
                yield await happened.get()
        finally:
            self._watchers[resource.plural].remove(note)

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """Return a copy of an object, None where there is none."""
        return copy.deepcopy(self.get(resource, namespace, name))

    async def apply(
        self, resource: Resource, manifest: Manifest, *, force: bool, manager: str = naming.OPERATOR
    ) -> Manifest:
        """Apply ``manifest`` server-side and return a copy of the object as it then is."""
        self._check_served(resource)
        metadata = manifest["metadata"]
        place = (resource.plural, metadata["namespace"], metadata["name"])
        known = self.objects.get(place)
        uid = metadata.get("uid")
        if uid is not None and (known is None or known["metadata"]["uid"] != uid):
            raise Conflict("apply", 409, "Conflict", "uid mismatch")
        if known is not None and not force and self._managers[place] != manager:
            raise Conflict("apply", 409, "Conflict", f"conflict with {self._managers[place]!r}")
        body = _merge(known or {}, manifest, self._applied.get(place, {}))
        if known is not None and body == known:
            return copy.deepcopy(known)
        stored = self.put(resource, body, manager)
        self._applied[place] = copy.deepcopy(manifest)
        return stored

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Manifest:
        """Merge ``status`` into an object's status, unless the name belongs to another object by now (Conflict)."""
        known = self.objects.get((resource.plural, namespace, name))
        if known is None:
            raise Missing("patch", 404, "NotFound", name)
        if known["metadata"]["uid"] != uid:
            raise Conflict("patch", 409, "Conflict", "uid mismatch")
        return self.put_status(resource, known, {**known.get("status", {}), **status})

    def put_status(self, resource: Resource, body: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Replace the status of an object that is there; where nothing changes, nobody is told."""
        place = (resource.plural, body["metadata"]["namespace"], body["metadata"]["name"])
        if body.get("status") == status:
            return copy.deepcopy(body)
        return self.put(resource, {**body, "status": dict(status)}, self._managers[place])

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete an object, unless it is gone or the name belongs to another one by now."""
        known = self.get(resource, namespace, name)
        if known is not None and known["metadata"]["uid"] == uid:
            self.remove(resource, namespace, name)

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create an object, with a name of its own where only the beginning is given, and return a copy of it."""
        metadata = manifest["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{next(self._uids)}"
        return self.put(resource, {**manifest, "metadata": {**metadata, "name": name}})

    def _check_served(self, resource: Resource) -> None:
        if resource in self.unserved:
            raise Missing("ask", 404, "NotFound", "the server could not find the requested resource")

    def _tell(self, resource: Resource, body: Manifest, *, gone: bool) -> None:
        for watcher in self._watchers.get(resource.plural, ()):
            watcher(body, gone)


def _merge(known: Any, applied: Any, before: Any) -> Any:
    # Lists are taken over whole: nobody else adds an item to a list of ours here.
    if not (isinstance(known, dict) and isinstance(applied, dict)):
        return copy.deepcopy(applied)
    dropped = before.keys() - applied.keys() if isinstance(before, dict) else ()
    kept = {name: value for name, value in known.items() if name not in dropped}
    former = before if isinstance(before, dict) else {}
    return kept | {name: _merge(known.get(name), value, former.get(name)) for name, value in applied.items()}


def _format_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
