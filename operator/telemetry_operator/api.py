"""What the operator asks of an API server: kinds of objects, their addresses, and the calls. Pure.

`telemetry_operator.cluster` asks a real one; `iothub up` has one in memory, so that the same reconcile runs without a
cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from telemetry_operator import naming

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A kind of object, as its address has it."""

    api_version: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the address of an object, or of all of a namespace or (without one) of the cluster."""
        root = "/api" if "/" not in self.api_version else "/apis"
        parts = [root, self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        return "/".join([*parts, self.plural, *(part for part in (name, subresource) if part is not None)])


CONSUMERS = Resource(f"{naming.GROUP}/{naming.VERSION}", naming.PLURAL)
DEPLOYMENTS = Resource("apps/v1", "deployments")
PODS = Resource("v1", "pods")
CONFIG_MAPS = Resource("v1", "configmaps")
EVENTS = Resource("events.k8s.io/v1", "events")
SCALED_OBJECTS = Resource("keda.sh/v1alpha1", "scaledobjects")
TRIGGER_AUTHENTICATIONS = Resource("keda.sh/v1alpha1", "triggerauthentications")
CRDS = Resource("apiextensions.k8s.io/v1", "customresourcedefinitions")


class ClusterApi(Protocol):
    """An API server. Every call raises ClusterError where it does not do what is asked."""

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Manifest], int]:
        """Return all objects of a namespace (None: of the cluster), and the resource version they were listed at."""
        ...

    def follow(
        self, resource: Resource, namespace: str | None, selector: str, version: int
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yield what happens to objects after ``version``: ADDED, MODIFIED or DELETED, and the object as it then is.

        It may end at any time, as after an error: then they are to be listed anew.
        """
        ...

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """Return an object, None where there is none."""
        ...

    async def apply(
        self, resource: Resource, manifest: Manifest, *, force: bool, manager: str = naming.OPERATOR
    ) -> Manifest:
        """Apply ``manifest`` server-side and return the object as it then is.

        With ``force`` fields are taken over from whoever holds them; without it that raises Conflict. A ``uid`` in the
        manifest makes it Conflict, too, where another object has the name by now.
        """
        ...

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Manifest:
        """Merge ``status`` into an object's status, unless the name belongs to another object by now (Conflict)."""
        ...

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete an object, unless it is gone or the name belongs to another one by now."""
        ...

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create an object and return it as it then is."""
        ...
