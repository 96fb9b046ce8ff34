"""What runs beside kopf's watches: the queue's workers and the periodic pass.

The pass goes through every TelemetryConsumer, whether something happened or not, and about once a minute lists
everything that the watches are about, so that nothing a watch missed stays missed.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, DEPLOYMENTS, PODS, ClusterApi, Resource
from telemetry_operator.errors import ClusterError, Missing, Refused, Unavailable, Unreachable
from telemetry_operator.facts import (
    ConsumerFact,
    DeploymentFact,
    Fact,
    PodFact,
    read_consumer,
    read_deployment,
    read_pod,
)
from telemetry_operator.groups import Groups, Observes
from telemetry_operator.kafka.facts import Reading
from telemetry_operator.keda_watch import KedaWatch
from telemetry_operator.liveness import Liveness
from telemetry_operator.metrics import PASSES, QUEUE, RECONCILE_SECONDS, RECONCILES, count_conditions
from telemetry_operator.naming import Key
from telemetry_operator.objects.deployment import build_worker_defaults
from telemetry_operator.reconcile import LATER, Reconciler
from telemetry_operator.settings import Settings
from telemetry_operator.store import Shelf, Store
from telemetry_operator.work import WorkQueue

LIST_SECONDS = 60.0
"""Least time between two lists of everything."""
AWAY_SECONDS = 5.0
"""Between two looks whether an API server is back."""
TELL_SECONDS = 1.0
"""How often it is looked whose numbers grow old."""
WORKERS = 16
"""Reconciles at the same time: enough to hide the API server's answer times, few enough to spare it."""
FORBIDDEN = 403
"""What HTTP says to one without the rights."""
FIRST_LIST_WAITS = (1, 2, 5, 10)
"""Seconds between the tries to get the first lists; the last one repeats."""

OnNews = Callable[[frozenset[Reading]], None]
FactT = TypeVar("FactT", bound=Fact)

log = structlog.get_logger(__name__)


class Controller:
    """Holds the operator's parts together."""

    def __init__(
        self,
        settings: Settings,
        cluster: ClusterApi,
        *,
        observer: Callable[[OnNews], Observes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``observer`` makes what asks Kafka, given what is to be told of news; without it nobody does."""
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._namespaces: tuple[str | None, ...] = settings.namespaces or (None,)
        self.store = Store()
        self.liveness = Liveness(self.store, settings.resync_seconds, clock)
        self._observer = observer(self._see_news) if observer is not None else None
        self._groups = Groups(self._observer) if self._observer is not None else None
        self._queue = WorkQueue(self._work, clock=clock)
        QUEUE.set_function(lambda: len(self._queue))
        self._reconciler = Reconciler(
            cluster,
            self.store,
            build_worker_defaults(settings),
            now=lambda: datetime.now(UTC),
            clock=clock,
            groups=self._groups,
            is_pressed=self._queue.are_first_waiting,
        )
        self._keda = KedaWatch(cluster, self.store, self._namespaces, self._queue.add)
        self._conditions: dict[Key, str] = {}
        self._done: dict[Key, tuple[str, int]] = {}
        """Uid and generation of the spec that was last brought about."""
        self._listed_at = float("-inf")
        self._away = asyncio.Event()
        """Set while the API server is known to give no answer."""
        self._closed: set[str | None] = set()
        """Namespaces that the API server does not let us list."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait_for_cluster(self) -> None:
        """Return once the first lists are there; until then say, now and then, what is missing."""
        for attempt in itertools.count():
            try:
                await self._list_everything()
            except ClusterError as error:
                advice = "kubectl apply --server-side -f crds/" if isinstance(error, Missing) else None
                log.warning("waiting for the cluster", problem=str(error), advice=advice)
                self.liveness.api_failed(str(error))
                self.liveness.pass_turned()
                await asyncio.sleep(FIRST_LIST_WAITS[min(attempt, len(FIRST_LIST_WAITS) - 1)])
            else:
                self.liveness.api_answered()
                return

    def start(self) -> None:
        """Start the queue's workers and the periodic pass."""
        if self._observer is not None:
            self._observer.start()
        for coroutine in (self._queue.run(WORKERS), self._run_passes(), self._run_tellings(), self._keda.run()):
            self._tasks.add(asyncio.get_running_loop().create_task(coroutine))

    async def stop(self) -> None:
        """Stop what ``start`` started; what is in hand is repeated after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._observer is not None:
            observer, self._observer = self._observer, None
            await observer.stop()

    def see_consumer(self, body: Mapping[str, Any], *, gone: bool) -> None:
        """Take in what the watch shows of a TelemetryConsumer."""
        fact = read_consumer(body)
        if _see(self.store.consumers, fact, gone=gone):
            self._add_consumer(fact)

    def see_deployment(self, body: Mapping[str, Any], *, gone: bool) -> None:
        """Take in what the watch shows of a Deployment."""
        fact = read_deployment(body)
        if _see(self.store.deployments, fact, gone=gone):
            self._queue.add(Key(fact.namespace, fact.name), first=gone)

    def see_pod(self, body: Mapping[str, Any], *, gone: bool) -> None:
        """Take in what the watch shows of a pod."""
        fact = read_pod(body)
        if _see(self.store.pods, fact, gone=gone):
            self._queue.add(Key(fact.namespace, fact.consumer))

    def see_config_map(self, namespace: str, name: str) -> None:
        """Take in that a ConfigMap came, changed or went. Only a cluster in memory tells: the operator watches none."""
        for key in self._reconciler.forget_config_map(namespace, name):
            self._queue.add(key)

    def _add_consumer(self, fact: ConsumerFact) -> None:
        """Have a TelemetryConsumer reconciled: before all others where its spec is not brought about yet."""
        self._queue.add(fact.key, first=self._done.get(fact.key) != (fact.uid, fact.generation))

    async def _work(self, key: Key) -> bool:
        started = self._clock()
        outcome = "error"
        fact = self.store.consumers.get(*key)
        try:
            outcome = await self._reconciler.reconcile(key)
        except Unreachable as error:
            self._note_away(error)
        except ClusterError as error:
            log.warning("reconcile failed, and is tried again", consumer=str(key), problem=str(error))
        except Exception:
            # A bug that one TelemetryConsumer brings out must not stop the others.
            log.exception("reconcile failed unexpectedly, and is tried again", consumer=str(key))
        RECONCILES.labels(outcome=outcome).inc()
        RECONCILE_SECONDS.observe(self._clock() - started)
        if outcome == "gone" or fact is None:
            self._conditions.pop(key, None)
            self._done.pop(key, None)
        elif outcome != "error":
            self._done[key] = (fact.uid, fact.generation)
            if outcome == LATER:
                self._queue.add(key)
            else:
                self._conditions[key] = outcome
        return outcome != "error"

    def _see_news(self, readings: frozenset[Reading]) -> None:
        if self._groups is not None:
            for key in self._groups.find_keys(readings):
                self._queue.add(key)

    async def _run_tellings(self) -> None:
        """Have statuses written whose numbers grow old."""
        while self._groups is not None:
            await asyncio.sleep(TELL_SECONDS)
            for key in self._groups.find_due():
                self._queue.add(key)

    async def _run_passes(self) -> None:
        while True:
            try:
                await self._run_pass()
            except Exception:
                # Not counted as a round: where this goes on, the liveness probe has the operator restarted.
                log.exception("the periodic pass failed unexpectedly")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.resync_seconds):
                    await self._away.wait()
                    await asyncio.sleep(AWAY_SECONDS)

    async def _run_pass(self) -> None:
        outcome = "done"
        try:
            if self._away.is_set() or self._clock() - self._listed_at >= LIST_SECONDS:
                await self._list_everything()
                self.liveness.api_answered()
                self._note_back()
        except Unavailable as error:
            outcome = "failed"
            self._note_away(error)
            self.liveness.api_failed(str(error))
        except ClusterError as error:
            outcome = "failed"
            log.warning("the periodic pass failed", problem=str(error))
            self.liveness.api_failed(str(error))
        else:
            for key in self.store.consumer_keys():
                self._queue.add(key)
        count_conditions(self._conditions.values())
        PASSES.labels(outcome=outcome).inc()
        self.liveness.pass_turned()

    def _note_away(self, error: Unavailable) -> None:
        """Say that the API server is away, once and not for each TelemetryConsumer, and have a pass soon."""
        if not self._away.is_set():
            log.warning("the API server gives no answer, everything is tried again", problem=str(error))
        self._away.set()

    def _note_back(self) -> None:
        if self._away.is_set():
            log.info("the API server answers again")
        self._away.clear()

    async def _list_everything(self) -> None:
        """List what there is. Raises ClusterError where that can't be done in any namespace.

        One that is gone took its Role along; the others are served all the same.
        """
        closed: dict[str | None, Refused] = {}
        for namespace in self._namespaces:
            try:
                await self._list_namespace(namespace)
            except Refused as error:
                if error.status != FORBIDDEN or len(closed) + 1 == len(self._namespaces):
                    raise
                closed[namespace] = error
        self._note_closed(closed)
        self._listed_at = self._clock()

    async def _list_namespace(self, namespace: str | None) -> None:
        for consumer in await self._list(CONSUMERS, namespace, None, read_consumer, self.store.consumers):
            self._add_consumer(consumer)
        selector = naming.WATCH_SELECTOR
        for deployment in await self._list(DEPLOYMENTS, namespace, selector, read_deployment, self.store.deployments):
            self._queue.add(Key(deployment.namespace, deployment.name))
        for pod in await self._list(PODS, namespace, selector, read_pod, self.store.pods):
            self._queue.add(Key(pod.namespace, pod.consumer))

    def _note_closed(self, closed: Mapping[str | None, Refused]) -> None:
        """Say which namespaces can't be served, and which can again, each once."""
        for namespace in closed.keys() - self._closed:
            log.warning(
                "a namespace can't be served, the others are", namespace=namespace, problem=str(closed[namespace])
            )
        for namespace in self._closed - closed.keys():
            log.info("a namespace can be served again", namespace=namespace)
        self._closed = set(closed)

    async def _list(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str | None,
        read: Callable[[Mapping[str, Any]], FactT],
        shelf: Shelf[FactT],
    ) -> list[FactT]:
        bodies, version = await self._cluster.list_objects(resource, namespace, selector)
        return shelf.learn((read(body) for body in bodies), version, namespace, self._clock())


def _see(shelf: Shelf[Any], fact: ConsumerFact | DeploymentFact | PodFact, *, gone: bool) -> bool:
    return shelf.see_gone(fact) if gone else shelf.see(fact)
