"""Carries out what `resets` decides: the status first, then Kafka, then the status again.

The status has a reset before Kafka is asked for it, and Kafka keeps its token beside the offsets until a worker commits
others. So an operator that dies in the middle leaves nothing that the next one would do twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from telemetry_operator.api import CONSUMERS, ClusterApi
from telemetry_operator.errors import Conflict, Missing, Unavailable
from telemetry_operator.events import EventSender
from telemetry_operator.facts import ConsumerFact, DeploymentFact, read_consumer
from telemetry_operator.groups import Groups
from telemetry_operator.resets import (
    ResetStatus,
    State,
    find_underway,
    judge_answer,
    judge_waiting,
    make_token,
    parse_reset,
    take_up,
)
from telemetry_operator.spec import Consumer
from telemetry_operator.store import Store

log = structlog.get_logger(__name__)


class Resetter:
    """Moves groups whose TelemetryConsumers ask for it."""

    def __init__(
        self,
        cluster: ClusterApi,
        store: Store,
        groups: Groups | None,
        events: EventSender,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._groups = groups
        self._events = events
        self._now = now

    async def take_up(self, fact: ConsumerFact, consumer: Consumer) -> ConsumerFact | None:
        """Return the TelemetryConsumer with what its status says of the annotation by now, None where it is gone."""
        noted = take_up(consumer, fact.status, self._now(), reachable=self._groups is not None)
        return await self._write(fact, noted) if noted is not None else fact

    async def go_on(
        self, fact: ConsumerFact, consumer: Consumer, deployment: DeploymentFact | None
    ) -> ResetStatus | None:
        """Take the reset that is under way as far as it goes now, and return how it stands; an end is written.

        None where the TelemetryConsumer is gone.
        """
        underway = find_underway(consumer, fact.status)
        if underway is None:
            raise ValueError(f"no reset of {fact.key} is under way")
        standing = self._ask(fact, consumer, underway, deployment)
        if standing.state is not State.UNDERWAY and await self._write(fact, standing) is None:
            return None
        return standing

    def _ask(
        self, fact: ConsumerFact, consumer: Consumer, underway: ResetStatus, deployment: DeploymentFact | None
    ) -> ResetStatus:
        # Not the Deployment's count alone: it leaves out the pods that are still ending, and one of those could commit.
        pods = [pod.name for pod in self._store.pods_of(fact.key) if not pod.ended]
        stopped = deployment is None or (
            deployment.observed_generation >= deployment.generation and deployment.replicas == 0
        )
        if pods or not stopped or self._groups is None:
            return judge_waiting(underway, pods, self._now())
        target = parse_reset(underway.requested or "")
        answer = self._groups.ask_reset(fact.key, target, make_token(consumer, underway))
        return judge_answer(underway, answer, self._now())

    async def _write(self, fact: ConsumerFact, reset: ResetStatus) -> ConsumerFact | None:
        """Write it into the status, with its Event. Returns the TelemetryConsumer as it is then, None: it is gone.

        Raises Unavailable where it was edited meanwhile and has to be looked at anew.
        """
        patch = {"offsetsReset": reset.to_status()}
        try:
            body = await self._cluster.patch_status(CONSUMERS, *fact.key, fact.uid, patch)
        except (Missing, Conflict):
            return None
        # The whole answer: a state from before it, which the watch may still show, must not ask for the reset again.
        written = read_consumer(body)
        self._store.consumers.keep(written)
        if reset.requested is not None:
            log.info("reset of offsets", consumer=str(fact.key), state=reset.state.value, message=reset.message)
        if reset.event is not None and reset.requested is not None:
            await self._events.send(fact, reset.event, reset.message, self._now(), harmless=reset.state is State.DONE)
        if not written.says_the_same(fact):
            raise Unavailable(f"{fact.key} was edited in this moment, which the watch won't tell any more")
        return written
