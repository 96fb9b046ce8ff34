"""Whether a release on a cluster is as it should be: CRD, pods, volumes, TelemetryConsumers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from iothub.cluster import Release, is_ready
from iothub.doctor.finding import Check, Finding
from iothub.kubectl import Forbidden, Kubectl, NoSuchKind, Object
from iothub.resources import find_resource
from telemetry_operator import naming

_PARTS = {
    "kafka": "it uses a Kafka elsewhere",
    "mqtt": "it uses an MQTT broker elsewhere",
    "ingestion": "nothing brings devices' messages into Kafka",
    "operator": "TelemetryConsumers run only where another release's operator serves this namespace",
}
"""The parts of a release, and what follows where it has none."""
_UPGRADE = "helm upgrade with this version's chart, or: kubectl apply --server-side -f crds/"
_ON_ITS_WAY = frozenset({"ContainerCreating", "PodInitializing"})


def cluster_checks(release: Release) -> list[Check]:
    """Return the checks of a release."""
    return [
        Check("CRD", lambda: check_crd(release.kubectl)),
        Check("pods", lambda: judge_pods(release)),
        Check("volumes", lambda: check_volumes(release)),
        Check("TelemetryConsumers", lambda: check_consumers(release.kubectl)),
    ]


def check_crd(kubectl: Kubectl) -> Finding:
    """Whether the cluster has the CRD, with every field that this version knows."""
    try:
        found = kubectl.find("crd", naming.CRD_NAME)
    except Forbidden as error:
        return Finding.missing("CRD", str(error), "whether it is there and recent can't be told")
    if found is None:
        return Finding.wrong("CRD", f"{naming.CRD_NAME} is not there", "there can be no TelemetryConsumer", _UPGRADE)
    ours = yaml.safe_load(find_resource("crds/telemetryconsumer.yaml").read_text("utf-8"))
    return judge_crd(found, ours)


def judge_crd(found: Object, ours: Object) -> Finding:
    """Return whether the CRD of a cluster is as recent as ours."""
    lacking = sorted(_fields(ours) - _fields(found))
    if lacking:
        names = ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")
        return Finding.wrong("CRD", f"older than this iothub: it lacks {names}", "the API server drops them", _UPGRADE)
    return Finding.ok("CRD", f"{naming.CRD_NAME}, {', '.join(sorted(_versions(found)))}")


def _versions(crd: Object) -> dict[str, Mapping[str, Any]]:
    return {version["name"]: version for version in crd["spec"]["versions"] if version.get("served")}


def _fields(crd: Object) -> set[str]:
    version = _versions(crd).get(naming.VERSION)
    return set() if version is None else set(_paths(version["schema"]["openAPIV3Schema"], ""))


def _paths(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, inner in (schema.get("properties") or {}).items():
        yield f"{path}{name}"
        yield from _paths(inner, f"{path}{name}.")
    if isinstance(schema.get("items"), dict):
        yield from _paths(schema["items"], path)


def judge_pods(release: Release) -> Iterator[Finding]:
    """Whether every part of the release has pods, and they are ready."""
    for part, follows in _PARTS.items():
        if not release.pods_of(part):
            yield Finding.missing(part, "the release has none", follows)
    for pod in release.pods:
        # A Job's pod that is done has done its work.
        if pod["status"].get("phase") != "Succeeded":
            yield judge_pod(pod)


def judge_pod(pod: Object) -> Finding:
    """Return how a pod stands, with what ails it."""
    metadata, status = pod["metadata"], pod["status"]
    name = f"pod {metadata['name']}"
    if is_ready(pod):
        restarts = sum(container["restartCount"] for container in status.get("containerStatuses", ()))
        return Finding.ok(name, "ready" if not restarts else f"ready, {restarts} restarts")
    logs = f"kubectl --namespace {metadata['namespace']} logs {metadata['name']} --all-containers --tail=30"
    describe = f"kubectl --namespace {metadata['namespace']} describe pod {metadata['name']}"
    for reason, message in _ailments(status):
        image = "Image" in reason
        means = "the image can't be had: see its name, the registry and global.imagePullSecrets" if image else ""
        return Finding.wrong(name, f"{reason}: {message}" if message else reason, means, describe if image else logs)
    phase = status.get("phase", "Unknown")
    found = f"{phase}, not ready" if phase == "Running" else phase
    return Finding.wrong(name, found, "it may still be coming up: look again in a moment", describe)


def _ailments(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    for container in containers:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _ON_ITS_WAY:
            last = container.get("lastState", {}).get("terminated", {}).get("message", "")
            yield waiting.get("reason", "Waiting"), last.strip() or waiting.get("message", "")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield condition.get("reason", "Unschedulable"), condition.get("message", "")


def check_volumes(release: Release) -> list[Finding]:
    """Whether every volume that the release claims is there."""
    claims = release.kubectl.get("persistentvolumeclaims", selector=f"app.kubernetes.io/instance={release.name}")
    findings = [finding for finding in map(judge_claim, claims) if finding is not None]
    return findings or [Finding.ok("volumes", f"{len(claims)} bound")]


def judge_claim(claim: Object) -> Finding | None:
    """Return what is wrong with a claim; None where it is bound."""
    phase = claim["status"].get("phase", "Unknown")
    if phase == "Bound":
        return None
    metadata = claim["metadata"]
    storage = claim["spec"].get("storageClassName")
    means = (
        f"its pod waits for it; StorageClass {storage}"
        if storage
        else "its pod waits for it, and it names no StorageClass"
    )
    advice = f"kubectl --namespace {metadata['namespace']} describe pvc {metadata['name']}; kubectl get storageclass"
    return Finding.wrong(f"volume {metadata['name']}", phase, means, advice)


def check_consumers(kubectl: Kubectl) -> list[Finding]:
    """Whether the namespace's TelemetryConsumers are Ready."""
    name = "TelemetryConsumers"
    try:
        consumers = kubectl.get(naming.CRD_NAME)
    except NoSuchKind:
        return [Finding.missing(name, "the cluster does not know them", advice=_UPGRADE)]
    except Forbidden as error:
        return [Finding.missing(name, str(error))]
    return judge_consumers(consumers, kubectl.namespace)


def judge_consumers(consumers: Iterable[Object], namespace: str) -> list[Finding]:
    """Return the TelemetryConsumers that are not Ready, each with the operator's own sentence."""
    findings, ready = [], 0
    for consumer in consumers:
        conditions = {c["type"]: c for c in consumer.get("status", {}).get("conditions", ())}
        condition = conditions.get("Ready")
        name = f"consumer {consumer['metadata']['name']}"
        advice = f"kubectl --namespace {namespace} describe telemetryconsumer {consumer['metadata']['name']}"
        if condition is None:
            means = "no operator serves this namespace, or it has not come to it yet"
            findings.append(Finding.wrong(name, "has no status", means, advice))
        elif condition["status"] != "True":
            findings.append(Finding.wrong(name, f"{condition['reason']}: {condition['message']}", advice=advice))
        else:
            ready += 1
    return [*findings, Finding.ok("TelemetryConsumers", f"{ready} Ready in namespace {namespace}")]
