"""From observed facts to a TelemetryConsumer's status.

The three conditions follow kstatus, so that ``kubectl wait``, Helm and Flux read them right: *Ready* is what was asked
for, *Reconciling* is on the way and may still come, *Stalled* needs another spec. Exactly one of the three is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from telemetry_operator import naming
from telemetry_operator.errors import SpecError
from telemetry_operator.facts import DeploymentFact, PodFact
from telemetry_operator.spec import Consumer

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"

RUNNING = "Running"
PAUSED = "Paused"
SCALED_TO_ZERO = "ScaledToZero"
ROLLING_OUT = "RollingOut"
INVALID_SPEC = "InvalidSpec"
NAME_CONFLICT = "NameConflict"
DEPLOYMENT_TERMINATING = "DeploymentTerminating"
DEPLOYMENT_REFUSED = "DeploymentRefused"
DEPLOYMENT_INVALID = "DeploymentInvalid"
HANDLER_CONFIG_MAP_MISSING = "HandlerConfigMapMissing"

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
) -> dict[str, Any]:
    """Return the whole status.

    ``previous`` is the status that stands: what is not known now is kept from it, as are the times of conditions that
    did not change. ``consumer`` and ``image`` are None where the spec can't be read, ``deployment`` where none is.
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
    status["conditions"] = [
        _build_condition(outcome, verdict, generation, before.get(outcome.value), now) for outcome in Outcome
    ]
    return status


def _build_condition(
    outcome: Outcome, verdict: Verdict, generation: int, before: Mapping[str, Any] | None, now: datetime
) -> dict[str, Any]:
    true = verdict.outcome is outcome
    # Ready carries the reason also where it is false: it is the condition that people look at.
    reason, message = verdict.reason, verdict.message
    if not true and outcome is not Outcome.READY:
        reason, message = f"Not{outcome.value}", ""
    status = "True" if true else "False"
    unchanged = before is not None and before["status"] == status
    return {
        "type": outcome.value,
        "status": status,
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before and unchanged else format_time(now),
        "reason": reason,
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


def format_time(moment: datetime) -> str:
    """Return ``moment``, in UTC, as metav1.Time has it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
