"""What is mounted into a worker's pod: a place to write, the handler's file, Kafka's certificates, volumes by name.

Every object is named, never read: the kubelet mounts it, and says so in the pod where it is missing.
"""

from __future__ import annotations

from typing import Any

from telemetry_operator import naming
from telemetry_operator.objects.connection import build_secret_mounts, build_secret_volumes
from telemetry_operator.spec import Consumer, Volume

Manifest = dict[str, Any]


def build_volumes(consumer: Consumer) -> list[Manifest]:
    """Return the pod's volumes."""
    volumes: list[Manifest] = [{"name": naming.VOLUME_TMP, "emptyDir": {}}]
    source = consumer.spec.handler.config_map
    if source is not None:
        items = [{"key": source.key, "path": source.key}]
        volumes.append({"name": naming.VOLUME_HANDLER, "configMap": {"name": source.name, "items": items}})
    return [*volumes, *build_secret_volumes(consumer), *(_build_volume(volume) for volume in consumer.spec.volumes)]


def build_mounts(consumer: Consumer) -> list[Manifest]:
    """Return where a container has them: all read-only but for its own place to write, and claims that are not."""
    mounts: list[Manifest] = [{"name": naming.VOLUME_TMP, "mountPath": "/tmp"}]  # noqa: S108  # a path in the pod, its own emptyDir
    if consumer.spec.handler.config_map is not None:
        mounts.append({"name": naming.VOLUME_HANDLER, "mountPath": naming.HANDLER_DIRECTORY, "readOnly": True})
    own = [
        {"name": volume.name, "mountPath": volume.mount_path, "readOnly": not _is_writable(volume)}
        for volume in consumer.spec.volumes
    ]
    return mounts + build_secret_mounts(consumer) + own


def has_writable_claim(consumer: Consumer) -> bool:
    """Return whether the workers write to a claim, for which they need a group that may."""
    return any(_is_writable(volume) for volume in consumer.spec.volumes)


def _build_volume(volume: Volume) -> Manifest:
    if volume.secret is not None:
        return {"name": volume.name, "secret": volume.secret.model_dump(by_alias=True)}
    if volume.config_map is not None:
        return {"name": volume.name, "configMap": volume.config_map.model_dump(by_alias=True)}
    claim = volume.persistent_volume_claim
    return {"name": volume.name, "persistentVolumeClaim": claim.model_dump(by_alias=True) if claim is not None else {}}


def _is_writable(volume: Volume) -> bool:
    claim = volume.persistent_volume_claim
    return claim is not None and not claim.read_only
