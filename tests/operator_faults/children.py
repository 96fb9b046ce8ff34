"""What a cluster holds of TelemetryConsumers and their children, and what of it is not as the specs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from contract.kubectl import Kubectl

__all__ = ["Children", "Worker"]

CONSUMER_LABEL = "telemetry.iot-hub.io/consumer"
_OURS = ("-l", CONSUMER_LABEL)


@dataclass(frozen=True)
class Worker:
    """A worker's pod; another ``uid`` is another pod, more ``restarts`` another process."""

    uid: str
    restarts: int


@dataclass(frozen=True)
class Children:
    """One look at a namespace."""

    consumers: Mapping[str, Mapping[str, Any]]
    deployments: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, kubectl: Kubectl) -> Children:
        """Look, past every proxy."""
        found = kubectl.list("telemetryconsumers,deployments")
        consumers = {one["metadata"]["name"]: one for one in found if one["kind"] == "TelemetryConsumer"}
        ours = (one for one in found if one["kind"] == "Deployment")
        return cls(consumers, tuple(one for one in ours if CONSUMER_LABEL in one["metadata"].get("labels", {})))

    def find_problems(self, wanted: Mapping[str, int]) -> list[str]:
        """Return what is not as it should be, a sentence each. ``wanted`` has every name, and its ``maxAttempts``."""
        return [*self._find_strays(wanted), *(said for name in wanted for said in self._judge(name, wanted[name]))]

    def find_waiting(self) -> list[str]:
        """Return the Deployments that the cluster's own controller has not seen to yet: before, nobody can be ready."""
        return [one["metadata"]["name"] for one in self.deployments if not _is_taken_up(one)]

    def generations(self) -> dict[str, int]:
        """Return how often each Deployment's spec was written, its creation included."""
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in self.deployments}

    def uids(self) -> dict[str, str]:
        """Return each Deployment's uid: another one is another Deployment."""
        return {one["metadata"]["name"]: one["metadata"]["uid"] for one in self.deployments}

    def _find_strays(self, wanted: Mapping[str, int]) -> Iterator[str]:
        for name in self.consumers.keys() - wanted.keys():
            yield f"{name} is still there"
        for deployment in self.deployments:
            metadata = deployment["metadata"]
            if metadata["name"] not in wanted or metadata["labels"][CONSUMER_LABEL] != metadata["name"]:
                yield f"Deployment {metadata['name']} is nobody's"

    def _judge(self, name: str, attempts: int) -> Iterator[str]:
        consumer = self.consumers.get(name)
        if consumer is None:
            yield f"{name} is gone"
            return
        metadata, status = consumer["metadata"], consumer.get("status", {})
        owned = [one for one in self.deployments if _has_owner(one, metadata["uid"])]
        conditions = {one["type"]: one for one in status.get("conditions", ())}
        wanted, seen = metadata["generation"], status.get("observedGeneration")
        if seen != wanted:
            yield f"{name}'s status is about generation {seen}, not {wanted}"
        elif conditions["Ready"]["status"] != "True" and all(map(_is_taken_up, owned)):
            yield f"{name} is not ready: {conditions['Ready']}"
        if len(owned) != 1:
            yield f"{name} has {len(owned)} Deployments"
        for deployment in owned:
            has = _read_attempts(deployment)
            if has != attempts:
                yield f"{name}'s Deployment has maxAttempts {has}, not {attempts}"


def read_workers(kubectl: Kubectl, name: str) -> dict[str, Worker]:
    """Return the pods of a TelemetryConsumer by name."""
    return {
        pod["metadata"]["name"]: Worker(
            pod["metadata"]["uid"], sum(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))
        )
        for pod in kubectl.list("pods", "-l", f"{CONSUMER_LABEL}={name}")
    }


def count_replica_sets(kubectl: Kubectl) -> dict[str, int]:
    """Return how many templates each Deployment of ours has had."""
    counts: dict[str, int] = {}
    for one in kubectl.list("replicasets", *_OURS):
        name = one["metadata"]["labels"][CONSUMER_LABEL]
        counts[name] = counts.get(name, 0) + 1
    return counts


def _is_taken_up(deployment: Mapping[str, Any]) -> bool:
    return bool(deployment["status"].get("observedGeneration") == deployment["metadata"]["generation"])


def _has_owner(deployment: Mapping[str, Any], uid: str) -> bool:
    return any(owner["uid"] == uid for owner in deployment["metadata"].get("ownerReferences", ()))


def _read_attempts(deployment: Mapping[str, Any]) -> int | None:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    found = (entry["value"] for entry in containers[0]["env"] if entry["name"] == "CONSUMER_MAX_ATTEMPTS")
    return next(map(int, found), None)
