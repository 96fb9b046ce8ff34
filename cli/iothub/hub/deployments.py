"""A small Deployment controller: keeps as many pods of a Deployment's template as it asks for, and says how many are.

What it decides is `iothub.hub.rollout`'s; here the store is read and written.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from datetime import UTC, datetime

from iothub.hub.objects import ObjectStore
from iothub.hub.rollout import PodView, plan_rollout
from telemetry_operator import naming
from telemetry_operator.api import DEPLOYMENTS, PODS, Manifest
from telemetry_operator.naming import Key
from telemetry_operator.status import format_time

_HASH_CHARACTERS = 5


class DeploymentController:
    """Works on the Deployments of ``store`` until it is stopped."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._numbers = itertools.count(1)
        self._changed: set[Key] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        store.watch(DEPLOYMENTS, self._see)
        store.watch(PODS, self._see_pod)

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Leave everything as it is; what ends from here on is not replaced."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _see(self, body: Manifest, gone: bool) -> None:
        metadata = body["metadata"]
        self._add(Key(metadata["namespace"], metadata["name"]))

    def _see_pod(self, body: Manifest, gone: bool) -> None:
        owner = body["metadata"]["ownerReferences"][0]
        self._add(Key(body["metadata"]["namespace"], owner["name"]))

    def _add(self, key: Key) -> None:
        self._changed.add(key)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changed:
                self._sync(self._changed.pop())

    def _sync(self, key: Key) -> None:
        deployment = self._store.get(DEPLOYMENTS, *key)
        pods = [body for body in self._store.find(PODS, key.namespace) if _owner_of(body) == key.name]
        if deployment is None:
            for pod in pods:
                self._delete(pod)
            return
        rolling = deployment["spec"]["strategy"]["rollingUpdate"]
        template_hash = _hash_of(deployment["spec"]["template"])
        views = [
            PodView(
                name=pod["metadata"]["name"],
                age=_number_of(pod),
                is_new=_hash_of(pod) == template_hash,
                ready=_is_ready(pod),
            )
            for pod in pods
            if not _is_leaving(pod)
        ]
        plan = plan_rollout(
            deployment["spec"]["replicas"],
            views,
            max_surge=rolling["maxSurge"],
            max_unavailable=rolling["maxUnavailable"],
        )
        for _ in range(plan.make):
            self._make(deployment, template_hash)
        for pod in pods:
            if pod["metadata"]["name"] in plan.delete:
                self._delete(pod)
        left = [view for view in views if view.name not in plan.delete]
        self._report(deployment, left, made=plan.make)

    def _make(self, deployment: Manifest, template_hash: str) -> None:
        metadata, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
        number = next(self._numbers)
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
        self._store.put(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **template["metadata"],
                    "name": f"{metadata['name']}-{template_hash[:_HASH_CHARACTERS]}-{number}",
                    "namespace": metadata["namespace"],
                    "ownerReferences": [owner | {"controller": True}],
                },
                "spec": template["spec"],
            },
        )

    def _delete(self, pod: Manifest) -> None:
        if not _is_leaving(pod):
            marked = {**pod["metadata"], "deletionTimestamp": format_time(datetime.now(UTC))}
            self._store.put(PODS, {**pod, "metadata": marked})

    def _report(self, deployment: Manifest, pods: list[PodView], *, made: int) -> None:
        ready = sum(pod.ready for pod in pods)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods) + made,
            "updatedReplicas": sum(pod.is_new for pod in pods) + made,
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        self._store.put_status(DEPLOYMENTS, deployment, status)


def _owner_of(pod: Manifest) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["name"])


def _hash_of(body: Manifest) -> str:
    return str(body["metadata"]["annotations"][naming.ANNOTATION_CONFIG_HASH])


def _number_of(pod: Manifest) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _is_leaving(pod: Manifest) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _is_ready(pod: Manifest) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
