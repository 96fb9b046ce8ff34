"""The one reconcile, and the only place that knows its order: parse, build, apply, observe, report.

It is told a key and looks at the state; what happened is none of its business. Create, update, restart, the periodic
pass and every change of a child run the same steps, and while all is as it should be they cost no call to the API
server (one a minute for a handler's ConfigMap, which is not watched).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from telemetry_operator import naming, status
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, DEPLOYMENTS, ClusterApi
from telemetry_operator.autoscaler import Autoscaler
from telemetry_operator.errors import Conflict, Invalid, Leaving, Missing, Refused, SpecError, Unavailable
from telemetry_operator.events import EventSender
from telemetry_operator.facts import ConsumerFact, DeploymentFact, read_consumer, read_deployment, take_status
from telemetry_operator.group_status import build_numbers, is_worth_telling, judge_group
from telemetry_operator.groups import Groups
from telemetry_operator.kafka.facts import Look
from telemetry_operator.naming import Key
from telemetry_operator.objects.deployment import WorkerDefaults, compute_hash
from telemetry_operator.ownership import Ownership, judge_ownership
from telemetry_operator.plans import Plan, Plans
from telemetry_operator.resets import State, find_underway
from telemetry_operator.resetter import Resetter
from telemetry_operator.spec import Consumer
from telemetry_operator.start import judge_start, note_beginning, take_beginning, take_pods_beginning
from telemetry_operator.status import Condition, Outcome, Verdict
from telemetry_operator.store import Store

LATER = "later"
"""What a reconcile says that has done its work, and leaves the report to another one."""
CONFIG_MAP_SECONDS = 55.0
"""How long a handler's ConfigMap is taken for unchanged."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Applied:
    """What was applied last, and as what the API server took it: any other generation is somebody's edit."""

    digest: str
    uid: str
    generation: int


@dataclass(frozen=True)
class _HandlerFile:
    """Hash of a handler's file, None where the ConfigMap or the key is missing."""

    name: str
    key: str
    hash: str | None
    read_at: float


@dataclass(frozen=True)
class _Workload:
    """The outcome of the first half: the verdict, what there is of the Deployment, and what else is to be said."""

    verdict: Verdict
    image: str
    deployment: DeploymentFact | None
    beside: tuple[Condition, ...] = ()
    applied: bool = False
    """Whether the Deployment was made or changed just now."""


class Reconciler:
    """Brings TelemetryConsumers' Deployments to what their specs say, and their statuses to what is."""

    def __init__(
        self,
        cluster: ClusterApi,
        store: Store,
        defaults: WorkerDefaults,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        groups: Groups | None = None,
        is_pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Without ``groups`` nobody asks Kafka, and the status says nothing of it.

        ``is_pressed`` tells whether others wait for their Deployment.
        """
        self._cluster = cluster
        self._store = store
        self._defaults = defaults
        self._now = now
        self._clock = clock
        self._groups = groups
        self._is_pressed = is_pressed
        self._autoscaler = Autoscaler(cluster, store, defaults, clock=clock)
        self._events = EventSender(cluster)
        self._resetter = Resetter(cluster, store, groups, self._events, now=now)
        self._plans = Plans(defaults)
        self._applied: dict[Key, _Applied] = {}
        self._handler_files: dict[Key, _HandlerFile] = {}

    async def reconcile(self, key: Key) -> str:
        """Reconcile one TelemetryConsumer. Returns the condition that is true of it, ``gone`` where there is none.

        `LATER` means that its Deployment is as it should be, that others wait for theirs, and that how it stands is to
        be reported after that, by another reconcile.

        Raises ClusterError where the API server has to be asked again later; the status says so where it can.
        """
        fact = self._store.consumers.get(*key)
        if fact is None or fact.deleting:
            # Its Deployment goes by its owner reference, with or without us.
            self._plans.forget(key)
            self._applied.pop(key, None)
            self._handler_files.pop(key, None)
            self._autoscaler.forget(key)
            self._note_group(key, None)
            return "gone"
        try:
            consumer = self._plans.parse(fact)
        except SpecError as error:
            self._note_group(key, None)
            deployment = self._store.deployments.get(key.namespace, naming.deployment_name(key))
            return await self._report(fact, None, _Workload(status.judge_spec_error(error), "", deployment))
        return await self._reconcile(fact, consumer)

    async def _reconcile(self, fact: ConsumerFact, consumer: Consumer) -> str:
        # 1. What the status has to keep before anything is done, and what follows from what it has kept.
        taken_up = await self._resetter.take_up(fact, consumer)
        if taken_up is None:
            return "gone"
        fact = taken_up
        wanted = take_beginning(consumer, fact.status)
        is_reset = find_underway(consumer, fact.status) is not None
        if is_reset:
            wanted = wanted.stop()
        # 2. What there is to be.
        self._note_group(fact.key, wanted)
        try:
            workload = await self._bring_about(wanted, fact, is_new=not fact.status)
            autoscaling = await self._autoscaler.bring_about(wanted)
        except Leaving:
            return "gone"  # soon, with everything in the namespace
        except Refused as error:
            workload = self._judge_refusal(consumer, error)
            await self._report(fact, consumer, workload)
            raise
        # 3. The group moves once the workers are gone; then they come back.
        if is_reset:
            reset = await self._resetter.go_on(fact, consumer, workload.deployment)
            if reset is None:
                return "gone"
            if reset.state is not State.UNDERWAY:
                return await self.reconcile(fact.key)
            verdict = Verdict(Outcome.RECONCILING, status.RESETTING_OFFSETS, reset.message)
            workload = replace(workload, verdict=verdict)
        # 4. How it stands. Of a Deployment that was made in this moment there is not much to say.
        if workload.applied and self._is_pressed():
            return LATER
        beside = (*workload.beside, *([autoscaling] if autoscaling else []), *judge_start(consumer, fact.status))
        return await self._report(fact, consumer, replace(workload, beside=beside))

    def _note_group(self, key: Key, consumer: Consumer | None) -> None:
        if self._groups is not None:
            self._groups.note(key, consumer)

    def _judge_group(
        self, fact: ConsumerFact, consumer: Consumer | None, look: Look | None
    ) -> tuple[dict[str, Any], tuple[Condition, ...]]:
        """Return the numbers and conditions that come from Kafka; nothing of either where it is not asked."""
        if self._groups is None or consumer is None or look is None:
            return {}, ()
        conditions = judge_group(
            consumer,
            look,
            rivals=self._groups.find_rivals(fact.key),
            pods={pod.name for pod in self._store.pods_of(fact.key)},
            previous=fact.status,
        )
        return build_numbers(fact.status, look), conditions

    def forget_config_map(self, namespace: str, name: str) -> list[Key]:
        """Have a handler's ConfigMap read anew that is known to have changed. Returns whose handler is in it."""
        keys = [key for key, file in self._handler_files.items() if (key.namespace, file.name) == (namespace, name)]
        for key in keys:
            del self._handler_files[key]
        return keys

    async def _bring_about(self, consumer: Consumer, fact: ConsumerFact, *, is_new: bool) -> _Workload:
        key, name = consumer.key, naming.deployment_name(consumer.key)
        image = consumer.spec.image or self._defaults.image
        # 1. Whose is the Deployment of that name, if there is one? The watch shows only those that bear our label. For
        #    a TelemetryConsumer that has no status yet none was made: a stranger's shows when ours is applied.
        deployment = self._store.deployments.get(key.namespace, name)
        if deployment is None and not is_new:
            body = await self._cluster.read(DEPLOYMENTS, key.namespace, name)
            deployment = read_deployment(body) if body is not None else None
        ownership = judge_ownership(consumer, deployment) if deployment is not None else None
        if ownership is Ownership.FOREIGN:
            return _Workload(_judge_conflict(name), image, None)
        if ownership is Ownership.LEAVING:
            message = f"Deployment {name} is being deleted; its successor follows at once"
            return _Workload(Verdict(Outcome.RECONCILING, status.DEPLOYMENT_TERMINATING, message), image, deployment)
        # 2. The handler's file. Where it is missing, what runs goes on with the one it has.
        handler_hash, missing = await self._read_handler_hash(consumer)
        if missing is not None:
            handler_hash = deployment.handler_hash if deployment is not None else None
            if handler_hash is None:
                return _Workload(missing, image, deployment, (status.judge_handler("", (), missing),))
        # 3. The Deployment as it should be, applied where it is not.
        told = take_pods_beginning(consumer, fact.status, deployment.start_from if deployment is not None else None)
        plan = self._plans.plan(told, handler_hash)
        found = deployment
        try:
            deployment = await self._apply(consumer, plan, found)
        except (Conflict, Invalid):
            if not is_new:
                raise
            return await self._bring_about(consumer, fact, is_new=False)
        # 4. How it gets on.
        pods = self._store.pods_of(key)
        verdict = missing or status.judge_workload(consumer, deployment, plan.config_hash, lambda: pods)
        handler = status.judge_handler(plan.config_hash, pods, missing)
        return _Workload(verdict, image, deployment, (handler,), applied=deployment is not found)

    async def _read_handler_hash(self, consumer: Consumer) -> tuple[str | None, Verdict | None]:
        """Return the hash of the handler's file, and the verdict where there ought to be one and is not."""
        source = consumer.spec.handler.config_map
        if source is None:
            self._handler_files.pop(consumer.key, None)
            return None, None
        known = self._handler_files.get(consumer.key)
        fresh = known is not None and self._clock() - known.read_at < CONFIG_MAP_SECONDS
        if known is None or not fresh or known.hash is None or (known.name, known.key) != (source.name, source.key):
            body = await self._cluster.read(CONFIG_MAPS, consumer.key.namespace, source.name) or {}
            content = body.get("data", {}).get(source.key) or body.get("binaryData", {}).get(source.key)
            digest = compute_hash(content) if content is not None else None
            known = _HandlerFile(source.name, source.key, digest, self._clock())
            self._handler_files[consumer.key] = known
        if known.hash is not None:
            return known.hash, None
        message = (
            f"ConfigMap {source.name} with the key {source.key} is not in namespace {consumer.key.namespace}: make it, "
            f"for example with kubectl create configmap {source.name} --from-file={source.key}"
        )
        return None, Verdict(Outcome.RECONCILING, status.HANDLER_CONFIG_MAP_MISSING, message)

    async def _apply(self, consumer: Consumer, plan: Plan, found: DeploymentFact | None) -> DeploymentFact:
        """Return the Deployment, applied unless it is known to be as ``plan`` says."""
        key, digest = consumer.key, plan.digest
        applied = self._applied.get(key)
        if found is not None and applied == _Applied(digest, found.uid, found.generation) and _is_marked(plan, found):
            return found
        manifest = plan.build()
        if found is not None:
            # The uid makes sure that it is still the one that we looked at.
            identified = manifest | {"metadata": manifest["metadata"] | {"uid": found.uid}}
            try:
                body = await self._cluster.apply(DEPLOYMENTS, identified, force=True)
            except Conflict as error:
                self._store.deployments.see_gone(found)
                raise Unavailable(f"Deployment {found.name} was replaced in this moment: {error}") from error
        else:
            # Without force: an object that somebody made in this instant has other values, and is not taken over.
            body = await self._cluster.apply(DEPLOYMENTS, manifest, force=False)
        deployment = read_deployment(body)
        self._store.deployments.keep(deployment)
        self._applied[key] = _Applied(digest, deployment.uid, deployment.generation)
        if found is None:
            log.info("Deployment created", consumer=str(key), mended=applied is not None)
        elif deployment.version != found.version:
            mended = applied is not None and applied.digest == digest
            log.info("Deployment brought to the spec", consumer=str(key), mended=mended)
        return deployment

    def _judge_refusal(self, consumer: Consumer, error: Refused) -> _Workload:
        name = naming.deployment_name(consumer.key)
        image = consumer.spec.image or self._defaults.image
        deployment = self._store.deployments.get(consumer.key.namespace, name)
        if isinstance(error, Conflict) and deployment is None:
            return _Workload(_judge_conflict(name), image, None)
        if isinstance(error, Invalid):
            verdict = Verdict(Outcome.STALLED, status.DEPLOYMENT_INVALID, error.message)
        else:
            verdict = Verdict(Outcome.RECONCILING, status.DEPLOYMENT_REFUSED, error.message)
        return _Workload(verdict, image, deployment)

    async def _report(self, fact: ConsumerFact, consumer: Consumer | None, workload: _Workload) -> str:
        """Write what of the status changed, with an Event where it is news. Returns the condition that is true."""
        key, verdict, now = fact.key, workload.verdict, self._now()
        # Once: by the time that it is told, there may be a newer look, and what counts is the age of what is told.
        look = self._groups.look(key) if self._groups is not None else None
        numbers, about_group = self._judge_group(fact, consumer, look)
        beside = (*workload.beside, *about_group)
        wanted = status.build_status(
            fact.status,
            fact.generation,
            verdict,
            now,
            consumer=consumer,
            image=workload.image,
            deployment=workload.deployment,
            beside=beside,
        )
        patch = status.compute_patch(
            fact.status, wanted | numbers | self._note_beginning(fact, consumer, look, workload)
        )
        due = self._groups is not None and self._groups.is_due(key)
        if not patch or not (due or is_worth_telling(fact.status, patch)):
            return verdict.outcome.value
        try:
            body = await self._cluster.patch_status(CONSUMERS, key.namespace, key.name, fact.uid, patch)
        except (Missing, Conflict):
            return "gone"  # deleted meanwhile; its successor, if there is one, has a reconcile of its own
        self._store.consumers.keep(take_status(fact, read_consumer(body)))
        if self._groups is not None and look is not None and look.facts is not None:
            self._groups.tell(key, look.facts.observed_at)
        if status.find_transition(fact.status, verdict):
            log.info("condition changed", consumer=str(key), condition=verdict.outcome.value, reason=verdict.reason)
            harmless = verdict.outcome is Outcome.READY or verdict.reason in status.HARMLESS
            await self._events.send(fact, verdict.reason, verdict.message, now, harmless=harmless)
        for condition in status.find_alarms(fact.status, beside):
            log.info("condition changed", consumer=str(key), condition=condition.type, reason=condition.reason)
            harmless = condition.status != condition.alarm
            note = condition.message or f"{condition.type} is over"
            await self._events.send(fact, condition.reason, note, now, harmless=harmless)
        return verdict.outcome.value

    def _note_beginning(
        self, fact: ConsumerFact, consumer: Consumer | None, look: Look | None, workload: _Workload
    ) -> dict[str, Any]:
        if consumer is None:
            return {}
        ready = workload.deployment.ready if workload.deployment is not None else 0
        return note_beginning(consumer, fact.status, look, ready=ready, now=self._now())


def _is_marked(plan: Plan, found: DeploymentFact) -> bool:
    """Return whether labels and owner are ours: an edit of them leaves the generation as it is."""
    metadata = plan.metadata
    owned = found.owner is not None and found.owner.uid == metadata["ownerReferences"][0]["uid"]
    return owned and metadata["labels"].items() <= found.labels.items()


def _judge_conflict(name: str) -> Verdict:
    message = (
        f"there is a Deployment {name} that is not ours, and it is left alone: delete or rename it, or give this "
        "TelemetryConsumer another name"
    )
    return Verdict(Outcome.RECONCILING, status.NAME_CONFLICT, message)
