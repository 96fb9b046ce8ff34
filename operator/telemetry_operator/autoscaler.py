"""Keeps the ScaledObject of a TelemetryConsumer that asks for autoscaling, and says how it stands.

KEDA may not be there: then the replicas stay what they are, a condition says so, and nothing else is affected. What
`keda_watch` shows of its objects is in the store.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from telemetry_operator import naming, status
from telemetry_operator.api import SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS, ClusterApi, Manifest, Resource
from telemetry_operator.errors import Conflict, Missing, Refused, Unavailable
from telemetry_operator.facts import Owned, Owner, ScaledObjectFact, read_owned, read_scaled_object
from telemetry_operator.naming import Key
from telemetry_operator.objects.autoscaling import build_scaled_object, build_trigger_authentication
from telemetry_operator.objects.deployment import WorkerDefaults, compute_hash
from telemetry_operator.ownership import Ownership, judge_ownership
from telemetry_operator.spec import Consumer
from telemetry_operator.status import Condition
from telemetry_operator.store import Store

KEDA_SECONDS = 55.0
"""How long KEDA is taken for missing before it is looked for again."""

_Mark = tuple[str, int, tuple[tuple[str, str], ...], Owner | None, bool] | None

log = structlog.get_logger(__name__)


class Autoscaler:
    """Brings ScaledObjects to what the specs say."""

    def __init__(
        self, cluster: ClusterApi, store: Store, defaults: WorkerDefaults, *, clock: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._defaults = defaults
        self._clock = clock
        self._applied: dict[Key, tuple[str, _Mark, _Mark]] = {}
        """A digest of what was applied last, and as what the API server took the two objects."""
        self._missed_at = float("-inf")

    def forget(self, key: Key) -> None:
        """Forget a TelemetryConsumer that is gone; what was made for it goes by its owner reference."""
        self._applied.pop(key, None)

    async def bring_about(self, consumer: Consumer) -> Condition | None:
        """Return how autoscaling stands, None where it is not asked for. Raises Unavailable."""
        found = self._store.scaled_objects.get(consumer.key.namespace, naming.scaled_object_name(consumer.key))
        if consumer.spec.autoscaling is None:
            await self._remove(consumer, found)
            return None
        if self._clock() - self._missed_at < KEDA_SECONDS:
            return status.judge_missing_keda()
        try:
            return await self._keep(consumer, found)
        except Missing:
            self._missed_at = self._clock()
            return status.judge_missing_keda()
        except Refused as error:
            return Condition(status.AUTOSCALING_READY, "False", status.SCALED_OBJECT_REFUSED, error.message)

    async def _keep(self, consumer: Consumer, found: ScaledObjectFact | None) -> Condition:
        key = consumer.key
        name = naming.scaled_object_name(key)
        # 1. Look where the last list has shown none, or one that was not ready yet.
        if found is None or found.ready is None or found.ready[0] != "True":
            body = await self._cluster.read(SCALED_OBJECTS, key.namespace, name)
            found = read_scaled_object(body) if body is not None else None
            if found is not None:
                self._store.scaled_objects.keep(found)
        # 2. Somebody else's is left alone.
        if found is not None and (conflict := _judge_conflict(consumer, "ScaledObject", found)) is not None:
            return conflict
        manifest, authentication = (
            build_scaled_object(consumer, self._defaults),
            build_trigger_authentication(consumer),
        )
        digest = compute_hash([manifest, authentication])
        named = self._store.trigger_authentications.get(key.namespace, name) if authentication is not None else None
        if found is not None and self._applied.get(key) == (digest, _mark(found), _mark(named)):
            return status.judge_scaled_object(consumer, found)
        # 3. What says where user and certificates are, before what needs it.
        named = None
        if authentication is not None:
            body = await self._cluster.read(TRIGGER_AUTHENTICATIONS, key.namespace, name)
            if body is not None:
                conflict = _judge_conflict(consumer, "TriggerAuthentication", read_owned(body))
                if conflict is not None:
                    return conflict
            named = read_owned(await self._apply(TRIGGER_AUTHENTICATIONS, authentication, known=body is not None))
            self._store.trigger_authentications.keep(named)
        # 4. The ScaledObject itself.
        authenticated = found is not None and found.authenticated
        found = read_scaled_object(await self._apply(SCALED_OBJECTS, manifest, known=found is not None))
        self._store.scaled_objects.keep(found)
        self._applied[key] = (digest, _mark(found), _mark(named))
        log.info("ScaledObject brought to the spec", consumer=str(key))
        # 5. What nothing refers to any more.
        if authenticated and authentication is None:
            await self._delete(TRIGGER_AUTHENTICATIONS, consumer, "TriggerAuthentication")
        return status.judge_scaled_object(consumer, found)

    async def _apply(self, resource: Resource, manifest: Manifest, *, known: bool) -> Manifest:
        # Without force where nothing was there: what somebody made in this instant has other values, and is not taken.
        try:
            return await self._cluster.apply(resource, manifest, force=known)
        except Conflict as error:
            name = manifest["metadata"]["name"]
            raise Unavailable(f"{manifest['kind']} {name} was made in this moment: {error}") from error

    async def _remove(self, consumer: Consumer, found: ScaledObjectFact | None) -> None:
        self._applied.pop(consumer.key, None)
        if found is None or judge_ownership(consumer, found) is not Ownership.OURS:
            return
        await self._cluster.delete(SCALED_OBJECTS, found.namespace, found.name, found.uid)
        if found.authenticated:
            await self._delete(TRIGGER_AUTHENTICATIONS, consumer, "TriggerAuthentication")
        self._store.scaled_objects.see_gone(found)
        log.info("ScaledObject deleted", consumer=str(consumer.key))

    async def _delete(self, resource: Resource, consumer: Consumer, kind: str) -> None:
        name = naming.scaled_object_name(consumer.key)
        body = await self._cluster.read(resource, consumer.key.namespace, name)
        if body is not None and _judge_conflict(consumer, kind, read_owned(body)) is None:
            await self._cluster.delete(resource, consumer.key.namespace, name, body["metadata"]["uid"])


def _mark(found: Owned | None) -> _Mark:
    """Return what tells an object as it was applied from one that somebody has edited since."""
    if found is None:
        return None
    # An edit of labels, owner or annotations leaves the generation as it is.
    paused = isinstance(found, ScaledObjectFact) and found.paused
    return found.uid, found.generation, tuple(sorted(found.labels.items())), found.owner, paused


def _judge_conflict(consumer: Consumer, kind: str, found: Owned) -> Condition | None:
    ownership = judge_ownership(consumer, found)
    if ownership is Ownership.OURS:
        return None
    if ownership is Ownership.LEAVING:
        message = f"{kind} {found.name} is being deleted; its successor follows"
        return Condition(status.AUTOSCALING_READY, "Unknown", status.SCALED_OBJECT_TERMINATING, message)
    message = (
        f"there is a {kind} {found.name} that is not ours, and it is left alone: delete or rename it, or leave "
        "autoscaling out"
    )
    return Condition(status.AUTOSCALING_READY, "False", status.NAME_CONFLICT, message)
