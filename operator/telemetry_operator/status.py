"""From observed facts to a TelemetryConsumer's status.

The three conditions follow kstatus, so that ``kubectl wait``, Helm and Flux read them right: *Ready* is what was asked
for, *Reconciling* is on the way and may still come, *Stalled* needs another spec. Exactly one of the three is true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Literal

from telemetry_operator import naming
from telemetry_operator.errors import SpecError
from telemetry_operator.facts import DeploymentFact, PodFact, ScaledObjectFact
from telemetry_operator.spec import Consumer

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"

RUNNING = "Running"
PAUSED = "Paused"
SCALED_TO_ZERO = "ScaledToZero"
ROLLING_OUT = "RollingOut"
RESETTING_OFFSETS = "ResettingOffsets"
HARMLESS = frozenset({ROLLING_OUT, RESETTING_OFFSETS})
"""Reasons of Reconciling that nobody need look at."""
INVALID_SPEC = "InvalidSpec"
NAME_CONFLICT = "NameConflict"
DEPLOYMENT_TERMINATING = "DeploymentTerminating"
DEPLOYMENT_REFUSED = "DeploymentRefused"
DEPLOYMENT_INVALID = "DeploymentInvalid"
HANDLER_CONFIG_MAP_MISSING = "HandlerConfigMapMissing"

HANDLER_READY = "HandlerReady"
HANDLER_LOADED = "HandlerLoaded"
NOT_TRIED = "NotTried"
AUTOSCALING_READY = "AutoscalingReady"
SCALING = "Scaling"
KEDA_MISSING = "KedaMissing"
SCALED_OBJECT_PENDING = "ScaledObjectPending"
SCALED_OBJECT_REFUSED = "ScaledObjectRefused"
SCALED_OBJECT_TERMINATING = "ScaledObjectTerminating"

_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MESSAGE_CHARACTERS = 4000


class Outcome(Enum):
    """Which of the three conditions is true."""

    READY = READY
    RECONCILING = RECONCILING
    STALLED = STALLED


@dataclass(frozen=True)
class Verdict:
    """How a TelemetryConsumer stands: the outcome, a reason in one word, a sentence for a person."""

    outcome: Outcome
    reason: str
    message: str


@dataclass(frozen=True)
class Condition:
    """A condition beside the three: what it is about, how it stands, a reason in one word, a sentence for a person."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str

    @property
    def alarm(self) -> str:
        """The status that a person should know of; empty where Ready tells it already."""
        if self.type == HANDLER_READY:
            return ""
        return "False" if self.type == AUTOSCALING_READY else "True"


def judge_spec_error(error: SpecError) -> Verdict:
    """Return the verdict on a spec that can't work; what runs is left as it is."""
    return Verdict(Outcome.STALLED, INVALID_SPEC, str(error))


def judge_workload(
    consumer: Consumer, deployment: DeploymentFact, config_hash: str, pods: Callable[[], Iterable[PodFact]]
) -> Verdict:
    """Return the verdict on the Deployment that runs ``consumer``.

    Only pods of the template with ``config_hash`` count: what ails an older one may be mended already.
    """
    wanted = consumer.workers
    settled = (
        deployment.observed_generation >= deployment.generation
        and deployment.updated == deployment.available == deployment.replicas == wanted
    )
    if settled:
        return _judge_settled(consumer)
    problems = [pod.problem for pod in pods() if pod.config_hash == config_hash and pod.problem is not None]
    for problem in sorted(problems, key=lambda problem: not problem.hopeless):
        outcome = Outcome.STALLED if problem.hopeless else Outcome.RECONCILING
        return Verdict(outcome, problem.reason, problem.message)
    progress = f"{deployment.ready} of {wanted} {_workers(wanted)} ready"
    if deployment.failure is not None and deployment.observed_generation >= deployment.generation:
        reason, message = deployment.failure
        return Verdict(Outcome.RECONCILING, reason, f"{progress}: {message}")
    if wanted == 0:
        return Verdict(Outcome.RECONCILING, ROLLING_OUT, f"stopping, workers left: {deployment.replicas}")
    return Verdict(Outcome.RECONCILING, ROLLING_OUT, progress)


def judge_handler(config_hash: str, pods: Iterable[PodFact], missing: Verdict | None) -> Condition:
    """Return whether the handler works as it is written now; ``missing`` is the verdict where its file is not there.

    Only pods of the template with ``config_hash`` tell: those before it may be at work with another one.
    """
    if missing is not None:
        return Condition(HANDLER_READY, "False", missing.reason, missing.message)
    current = [pod for pod in pods if pod.config_hash == config_hash]
    if any(pod.loaded for pod in current):
        return Condition(HANDLER_READY, "True", HANDLER_LOADED, "")
    for pod in current:
        problem = pod.problem
        if problem is None or problem.container != naming.CONTAINER_PREFLIGHT:
            continue
        # What may still come, a topic for example, says nothing about the handler.
        status: Literal["False", "Unknown"] = "False" if problem.hopeless or problem.last_lines else "Unknown"
        return Condition(
            HANDLER_READY, status, problem.reason, "\n".join(filter(None, (problem.message, problem.last_lines)))
        )
    return Condition(HANDLER_READY, "Unknown", NOT_TRIED, "no worker with this spec has come as far")


def judge_missing_keda() -> Condition:
    """Return how autoscaling stands where there is no KEDA."""
    message = (
        "KEDA is not installed, so replicas stays as it is: install KEDA (https://keda.sh), or leave autoscaling out "
        "and set replicas"
    )
    return Condition(AUTOSCALING_READY, "False", KEDA_MISSING, message)


def judge_scaled_object(consumer: Consumer, found: ScaledObjectFact) -> Condition:
    """Return how autoscaling stands that KEDA's ``found`` is in charge of."""
    scaling = consumer.spec.autoscaling
    if consumer.spec.paused:
        return Condition(AUTOSCALING_READY, "True", PAUSED, "waits as long as the TelemetryConsumer is paused")
    if found.ready is None or found.ready[0] == "Unknown" or scaling is None:
        return Condition(AUTOSCALING_READY, "Unknown", SCALED_OBJECT_PENDING, f"KEDA has not taken up {found.name} yet")
    ready, reason, message = found.ready
    if ready != "True":
        word = reason if _REASON.fullmatch(reason) else "ScaledObjectFailed"
        return Condition(AUTOSCALING_READY, "False", word, f"KEDA: {message or reason}")
    limits = f"{scaling.min_replicas} to {scaling.max_replicas} workers"
    message = f"{limits}, one for each {scaling.lag_threshold} messages of lag"
    return Condition(AUTOSCALING_READY, "True", SCALING, message)


def _judge_settled(consumer: Consumer) -> Verdict:
    group = consumer.group_id
    if consumer.spec.paused:
        return Verdict(Outcome.READY, PAUSED, f"paused: group {group} keeps its place; write paused: false to go on")
    if consumer.workers == 0:
        return Verdict(Outcome.READY, SCALED_TO_ZERO, f"scaled to zero: group {group} keeps its place")
    return Verdict(
        Outcome.READY, RUNNING, f"{consumer.workers} of {consumer.workers} {_workers(consumer.workers)} ready"
    )


def _workers(count: int) -> str:
    return "worker is" if count == 1 else "workers are"


def build_status(
    previous: Mapping[str, Any],
    generation: int,
    verdict: Verdict,
    now: datetime,
    *,
    consumer: Consumer | None = None,
    image: str | None = None,
    deployment: DeploymentFact | None = None,
    beside: Sequence[Condition] = (),
) -> dict[str, Any]:
    """Return the whole status.

    ``previous`` is the status that stands: what is not known now is kept from it, as are the times of conditions that
    did not change. ``consumer`` and ``image`` are None where the spec can't be read, ``deployment`` where none is.
    ``beside`` are the conditions that come after the three; a condition that is in neither goes.
    """
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "replicas": deployment.replicas if deployment else 0,
        "readyReplicas": deployment.ready if deployment else 0,
    }
    if consumer is not None:
        status["groupId"] = consumer.group_id
        status["selector"] = naming.selector_string(consumer.key)
        status["image"] = image
    for kept in ("groupId", "selector", "image"):
        if kept not in status and kept in previous:
            status[kept] = previous[kept]
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    conditions = [*(_describe(outcome, verdict) for outcome in Outcome), *beside]
    status["conditions"] = [
        _build_condition(condition, generation, before.get(condition.type), now) for condition in conditions
    ]
    return status


def _describe(outcome: Outcome, verdict: Verdict) -> Condition:
    true = verdict.outcome is outcome
    # Ready carries the reason also where it is false: it is the condition that people look at.
    if true or outcome is Outcome.READY:
        return Condition(outcome.value, "True" if true else "False", verdict.reason, verdict.message)
    return Condition(outcome.value, "False", f"Not{outcome.value}", "")


def _build_condition(
    condition: Condition, generation: int, before: Mapping[str, Any] | None, now: datetime
) -> dict[str, Any]:
    message = condition.message
    unchanged = before is not None and before["status"] == condition.status
    return {
        "type": condition.type,
        "status": condition.status,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before and unchanged else format_time(now),
        "reason": condition.reason,
        "message": message if len(message) <= _MESSAGE_CHARACTERS else message[: _MESSAGE_CHARACTERS - 1] + "…",
    }


def compute_patch(previous: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of ``status`` differs from ``previous``, as a merge patch: empty where nothing does."""
    return {name: value for name, value in status.items() if previous.get(name) != value}


def find_transition(previous: Mapping[str, Any], verdict: Verdict) -> bool:
    """Return whether ``verdict`` is news beside the status that stands: another state of Ready, or another reason."""
    for condition in previous.get("conditions", ()):
        if condition["type"] == READY:
            was_ready = condition["status"] == "True"
            return was_ready != (verdict.outcome is Outcome.READY) or bool(condition["reason"] != verdict.reason)
    return True


def find_alarms(previous: Mapping[str, Any], beside: Sequence[Condition]) -> list[Condition]:
    """Return those of ``beside`` that are news: what was well and is not, has another reason, or is well again."""
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    news = []
    for condition in beside:
        was = before.get(condition.type, {})
        was_alarm = was.get("status") == condition.alarm
        if condition.status == condition.alarm:
            is_news = not was_alarm or was.get("reason") != condition.reason
        else:
            is_news = was_alarm and condition.status != "Unknown"
        if is_news:
            news.append(condition)
    return news


def format_time(moment: datetime) -> str:
    """Return ``moment``, in UTC, as metav1.Time has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
