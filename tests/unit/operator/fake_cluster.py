"""An API server in memory, as far as a reconcile can tell: the one of `iothub up`, which can be broken here.

The same tests run over it and over a real one (tests/contract/test_reconcile.py), so that it can't grow a mind of its
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iothub.hub.objects import ObjectStore
from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, Manifest, Resource
from telemetry_operator.errors import ClusterError


class FakeCluster(ObjectStore):
    """Stands in for a cluster; ``calls`` has what was asked of it, ``broken`` makes every call fail."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.broken: ClusterError | None = None

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Manifest], int]:
        self._note("GET", resource)
        return await super().list_objects(resource, namespace, selector)

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        self._note("GET", resource)
        return await super().read(resource, namespace, name)

    async def apply(
        self, resource: Resource, manifest: Manifest, *, force: bool, manager: str = naming.OPERATOR
    ) -> Manifest:
        self._note("PATCH", resource)
        return await super().apply(resource, manifest, force=force, manager=manager)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Manifest:
        self._note("PATCH", resource, "status")
        return await super().patch_status(resource, namespace, name, uid, status)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self._note("DELETE", resource)
        await super().delete(resource, namespace, name, uid)

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        self._note("POST", resource)
        return await super().create(resource, manifest)

    def status_of(self, namespace: str, name: str) -> dict[str, Any]:
        """Return a TelemetryConsumer's status."""
        found: dict[str, Any] = self.objects[(CONSUMERS.plural, namespace, name)].get("status", {})
        return found

    def _note(self, method: str, resource: Resource, subresource: str = "") -> None:
        self.calls.append(" ".join(filter(None, (method, resource.plural, subresource))))
        if self.broken is not None:
            raise self.broken
