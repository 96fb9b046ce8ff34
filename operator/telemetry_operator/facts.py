"""What the operator keeps of the objects that it sees: a few frozen values each, never whole bodies.

Every fact knows its place, its uid and its resource version, which is what `telemetry_operator.store` goes by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from telemetry_operator import naming
from telemetry_operator.naming import Key

EX_CONFIG = 78
"""Exit code of a worker that can't ever work as it is configured (sysexits.h)."""

Body = Mapping[str, Any]

_ANNOTATIONS = (naming.ANNOTATION_RESTART, naming.ANNOTATION_RESET)
"""Those of a TelemetryConsumer that a reconcile reads."""
_ENDED = frozenset({"Failed", "Succeeded"})
_REASON = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_MESSAGE_CHARACTERS = 2000
_LAST_LINES = 10
_IMAGE_REASONS = {"ErrImagePull": "ImagePullBackOff"}
"""The kubelet shows the two in turns; shown as one, the status stands still."""
_HOPELESS_IMAGE = "InvalidImageName"
_STARTING = {"ContainerCreating", "PodInitializing", "CrashLoopBackOff", ""}
"""Reasons to wait that say nothing of what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Who and when, for each kind of fact."""

    namespace: str
    name: str
    uid: str
    version: int = field(compare=False)
    """The resource version: left out of comparison, since most changes of it change nothing that is kept."""


@dataclass(frozen=True, kw_only=True)
class ConsumerFact(Fact):
    """A TelemetryConsumer as it stands in the cluster; ``body`` has only what a reconcile reads."""

    body: Body
    status: Body
    deleting: bool

    @property
    def key(self) -> Key:
        """Its place."""
        return Key(self.namespace, self.name)

    @property
    def generation(self) -> int:
        """Which edition of the spec it is."""
        generation: int = self.body["metadata"]["generation"]
        return generation

    def says_the_same(self, other: ConsumerFact) -> bool:
        """Return whether both ask for the same, whatever their statuses are."""
        return (self.body, self.deleting) == (other.body, other.deleting)


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The controlling owner of an object."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class Owned(Fact):
    """An object that may be made for a TelemetryConsumer: whose it is, and whether it is as we made it."""

    labels: Mapping[str, str]
    owner: Owner | None
    deleting: bool
    generation: int


@dataclass(frozen=True, kw_only=True)
class ScaledObjectFact(Owned):
    """A ScaledObject of KEDA's, and how it stands."""

    ready: tuple[str, str, str] | None
    """Status, reason and message of its condition Ready; None where KEDA has not said yet."""
    authenticated: bool
    """Whether it refers to a TriggerAuthentication."""
    paused: bool
    """Whether KEDA is told to leave its target alone."""


@dataclass(frozen=True, kw_only=True)
class DeploymentFact(Owned):
    """A Deployment: how far it is."""

    observed_generation: int
    handler_hash: str | None
    start_from: str | None
    """What its pods are told of where a new group begins."""
    replicas: int
    updated: int
    available: int
    ready: int
    failure: tuple[str, str] | None
    """Reason and message of why it can't make pods, or makes no progress."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a pod is not at work. ``hopeless`` means that only another spec can help."""

    reason: str
    message: str
    hopeless: bool
    container: str = ""
    """Which container ended with an error; empty where none did."""
    last_lines: str = ""
    """The end of its log, where it left no words of its own."""


@dataclass(frozen=True, kw_only=True)
class PodFact(Fact):
    """A worker's pod: which template it comes from, and what holds it up."""

    consumer: str
    config_hash: str | None
    problem: Problem | None
    loaded: bool
    """Whether its preflight has loaded the handler."""
    ended: bool
    """Whether it has come to its end and only its object is left."""


def read_consumer(body: Body) -> ConsumerFact:
    """Return the fact of a TelemetryConsumer's body."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations", {})
    kept = {
        "metadata": {
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "generation": metadata["generation"],
            "annotations": {name: annotations[name] for name in _ANNOTATIONS if name in annotations},
        },
        "spec": body.get("spec", {}),
    }
    return ConsumerFact(
        **_place(metadata),
        body=kept,
        status=body.get("status", {}),
        deleting="deletionTimestamp" in metadata,
    )


def take_status(before: ConsumerFact, written: ConsumerFact) -> ConsumerFact:
    """Return what a write of the status has made of ``before``; ``written`` is the answer to it.

    An edit that came in between is in the answer, too. It is left out, and so is its version: the watch shows it, and
    what is known already would not count as a change and be taken up.
    """
    if written.says_the_same(before):
        return written
    return replace(before, status=written.status)


def read_deployment(body: Body) -> DeploymentFact:
    """Return the fact of a Deployment's body."""
    status = body.get("status", {})
    template = body["spec"].get("template", {})
    annotations = template.get("metadata", {}).get("annotations") or {}
    return DeploymentFact(
        **_ownership(body["metadata"]),
        observed_generation=status.get("observedGeneration", 0),
        handler_hash=annotations.get(naming.ANNOTATION_HANDLER_HASH),
        start_from=_find_start(template),
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        available=status.get("availableReplicas", 0),
        ready=status.get("readyReplicas", 0),
        failure=_find_failure(status),
    )


def read_owned(body: Body) -> Owned:
    """Return whose an object is."""
    return Owned(**_ownership(body["metadata"]))


def read_scaled_object(body: Body) -> ScaledObjectFact:
    """Return the fact of a ScaledObject's body."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    return ScaledObjectFact(
        **_ownership(body["metadata"]),
        ready=(ready["status"], ready.get("reason", ""), ready.get("message", "")) if ready else None,
        authenticated=any("authenticationRef" in trigger for trigger in body["spec"].get("triggers", ())),
        paused=naming.ANNOTATION_KEDA_PAUSED in (body["metadata"].get("annotations") or {}),
    )


def read_pod(body: Body) -> PodFact:
    """Return the fact of a worker's pod."""
    metadata = body["metadata"]
    return PodFact(
        **_place(metadata),
        consumer=(metadata.get("labels") or {}).get(naming.LABEL_CONSUMER, ""),
        config_hash=(metadata.get("annotations") or {}).get(naming.ANNOTATION_CONFIG_HASH),
        problem=None if "deletionTimestamp" in metadata else find_problem(body),
        loaded=_has_loaded(body.get("status", {})),
        ended=body.get("status", {}).get("phase") in _ENDED,
    )


def find_problem(pod: Body) -> Problem | None:
    """Return what keeps ``pod`` from work, None where nothing does or it is still starting."""
    status = pod.get("status", {})
    if status.get("phase") in _ENDED:
        return None  # its ReplicaSet replaces it; the next pod tells
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Problem(
                reason=condition.get("reason") or "Unschedulable",
                message=f"no node takes pod {pod['metadata']['name']}: {condition.get('message', '')}".rstrip(": "),
                hopeless=False,
            )
    for container, state, ready in _container_states(status):
        problem = _find_container_problem(pod, container, state, ready=ready)
        if problem is not None:
            return problem
    return None


def _find_start(template: Body) -> str | None:
    for container in template.get("spec", {}).get("containers", ()):
        for variable in container.get("env", ()):
            if variable["name"] == naming.VARIABLE_START_FROM:
                return str(variable.get("value"))
    return None


def _has_loaded(status: Body) -> bool:
    for container in status.get("initContainerStatuses", ()):
        ended = container.get("state", {}).get("terminated")
        if container["name"] == naming.CONTAINER_PREFLIGHT and ended is not None:
            return bool(ended.get("exitCode") == 0)
    return False


def _container_states(status: Body) -> Iterator[tuple[str, Body, bool]]:
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group, ()):
            yield container["name"], container, bool(container.get("ready"))


def _find_container_problem(pod: Body, container: str, status: Body, *, ready: bool) -> Problem | None:
    state = status.get("state", {})
    where = f"(pod {pod['metadata']['name']}, container {container})"
    waiting, terminated = state.get("waiting"), state.get("terminated")
    if waiting is not None:
        reason = waiting.get("reason", "")
        if reason not in _STARTING:
            reason = _IMAGE_REASONS.get(reason, reason)
            message = _explain_waiting(reason, waiting.get("message", ""), status.get("image", ""))
            return Problem(reason=reason, message=f"{message} {where}", hopeless=reason == _HOPELESS_IMAGE)
    if terminated is None and not ready:
        # Waiting for its next try, or in the middle of it: what ended the last one still holds.
        terminated = status.get("lastState", {}).get("terminated")
    if terminated is None or terminated.get("exitCode", 0) == 0:
        return None
    return replace(_explain_termination(terminated, where), container=container)


def _explain_waiting(reason: str, message: str, image: str) -> str:
    # The kubelet puts its own count of tries before the cause, which alone stays the same from try to try.
    cause = message.rpartition("ErrImagePull: ")[2].strip()
    if reason in {"ImagePullBackOff", _HOPELESS_IMAGE, "ErrImageNeverPull", "ImageInspectError"}:
        return f"the image {image!r} can't be had: {cause or reason}"
    return cause or f"the container waits: {reason}"


def _explain_termination(terminated: Body, where: str) -> Problem:
    code = terminated["exitCode"]
    said = str(terminated.get("message", "")).strip()
    reason, message = _parse_last_words(said)
    lines = said.splitlines() if reason is None else []
    if reason is None and terminated.get("reason") == "OOMKilled":
        reason, message = "OOMKilled", "the worker was killed for using more memory than resources.limits.memory allows"
    elif reason is None:
        last_line = lines[-1] if lines else "it left no message"
        reason = str(terminated.get("reason") or "Error")
        message = f"the worker ended with exit code {code}: {last_line}"
    return Problem(
        reason=reason,
        message=f"{message[:_MESSAGE_CHARACTERS]} {where}",
        hopeless=code == EX_CONFIG,
        last_lines="\n".join(lines[-_LAST_LINES:])[-_MESSAGE_CHARACTERS:],
    )


def _parse_last_words(said: str) -> tuple[str | None, str]:
    try:
        words = json.loads(said)
    except ValueError:
        return None, ""
    if not isinstance(words, dict):
        return None, ""
    reason, message = words.get("reason"), words.get("message")
    if not isinstance(reason, str) or not _REASON.fullmatch(reason) or not isinstance(message, str):
        return None, ""
    return reason, message.strip()


def _find_failure(status: Body) -> tuple[str, str] | None:
    for condition in status.get("conditions", ()):
        failing = {"ReplicaFailure": "True", "Progressing": "False"}.get(condition["type"])
        if condition["status"] == failing:
            return condition.get("reason") or condition["type"], condition.get("message", "")
    return None


def _ownership(metadata: Body) -> dict[str, Any]:
    owner = next((owner for owner in metadata.get("ownerReferences", ()) if owner.get("controller")), None)
    return {
        **_place(metadata),
        "labels": dict(metadata.get("labels") or {}),
        "owner": Owner(kind=owner["kind"], name=owner["name"], uid=owner["uid"]) if owner else None,
        "deleting": "deletionTimestamp" in metadata,
        "generation": metadata.get("generation", 0),
    }


def _place(metadata: Body) -> dict[str, Any]:
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "version": int(metadata["resourceVersion"]),
    }
