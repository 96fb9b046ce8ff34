"""Follows what was made for KEDA, wherever KEDA is installed: an edit of it is seen at once.

Not one of kopf's watches: those are fixed at the start, and one whose kind is missing, or may not be watched, ends the
operator. KEDA may come after the operator, and go again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog

from telemetry_operator import naming
from telemetry_operator.api import SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS, ClusterApi, Resource
from telemetry_operator.errors import ClusterError, Missing, Refused
from telemetry_operator.facts import Fact, Owned, ScaledObjectFact, read_owned, read_scaled_object
from telemetry_operator.naming import Key
from telemetry_operator.store import Shelf, Store

LOOK_SECONDS = 60.0
"""How often it is looked whether KEDA is there by now, or may be looked at."""
AGAIN_SECONDS = 2.0
"""Until they are listed anew after a watch has ended, or the API server has not answered."""

FactT = TypeVar("FactT", bound=Fact)

log = structlog.get_logger(__name__)


class KedaWatch:
    """Keeps the store's ScaledObjects and TriggerAuthentications; ``tell`` is given whose changed."""

    def __init__(
        self, cluster: ClusterApi, store: Store, namespaces: tuple[str | None, ...], tell: Callable[[Key], None]
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._namespaces = namespaces
        self._tell = tell

    async def run(self) -> None:
        """Follow them, for ever."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                # The second kind waits for the first, so that without KEDA a look for it costs one call.
                there = asyncio.Event()
                group.create_task(self._keep_scaled_objects(namespace, there))
                group.create_task(self._keep_authentications(namespace, there))

    async def _keep_scaled_objects(self, namespace: str | None, there: asyncio.Event) -> None:
        shelf: Shelf[ScaledObjectFact] = self._store.scaled_objects
        while True:
            pause = await self._follow(SCALED_OBJECTS, namespace, shelf, read_scaled_object, there)
            await asyncio.sleep(pause)

    async def _keep_authentications(self, namespace: str | None, there: asyncio.Event) -> None:
        shelf: Shelf[Owned] = self._store.trigger_authentications
        while True:
            await there.wait()
            pause = await self._follow(TRIGGER_AUTHENTICATIONS, namespace, shelf, read_owned, there)
            await asyncio.sleep(pause)

    async def _follow(
        self,
        resource: Resource,
        namespace: str | None,
        shelf: Shelf[FactT],
        read: Callable[[Mapping[str, Any]], FactT],
        there: asyncio.Event,
    ) -> float:
        """List a kind and follow it until the watch ends. Returns the seconds until that is to be done again."""
        selector = naming.WATCH_SELECTOR
        try:
            bodies, version = await self._cluster.list_objects(resource, namespace, selector)
            there.set()
            for fact in shelf.learn(map(read, bodies), version, namespace, time.monotonic()):
                self._tell(Key(fact.namespace, fact.name))
            async for kind, body in self._cluster.follow(resource, namespace, selector, version):
                fact = read(body)
                if shelf.see_gone(fact) if kind == "DELETED" else shelf.see(fact):
                    self._tell(Key(fact.namespace, fact.name))
        except Missing:
            there.clear()  # no KEDA: a TelemetryConsumer that wants it says so
            return LOOK_SECONDS
        except Refused as error:
            log.warning("KEDA's objects can't be looked at, edits of them are not mended", problem=str(error))
            return LOOK_SECONDS
        except ClusterError:
            pass  # the lists of the periodic pass have the same trouble, and tell of it
        except Exception:
            log.exception("following KEDA's objects failed unexpectedly")
            return LOOK_SECONDS
        return AGAIN_SECONDS
