"""Every name, label, annotation and selector that the operator makes or looks for. Nothing else spells one out."""

from __future__ import annotations

from typing import NamedTuple

GROUP = "telemetry.iot-hub.io"
VERSION = "v1alpha1"
KIND = "TelemetryConsumer"
PLURAL = "telemetryconsumers"
CRD_NAME = f"{PLURAL}.{GROUP}"

OPERATOR = "telemetry-operator"
"""Who applies objects (the field manager), reports events, and is named in ``app.kubernetes.io/managed-by``."""
CRD_FIELD_MANAGER = "telemetry-operator-crds"
"""The field manager of the CRD: an upgrade by hand with another one shows up as a conflict, not as a silent change."""

LABEL_CONSUMER = f"{GROUP}/consumer"
"""Label of everything made for a TelemetryConsumer; its value is the TelemetryConsumer's name."""
LABEL_NAME = "app.kubernetes.io/name"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
WORKER_APP = "telemetry-consumer"

ANNOTATION_CONFIG_HASH = f"{GROUP}/config-hash"
"""On pods: a hash of the pod template that they come from."""
ANNOTATION_HANDLER_HASH = f"{GROUP}/handler-hash"
"""On pods: a hash of the handler's ConfigMap, so that a change of it rolls them."""
ANNOTATION_RESTART = f"{GROUP}/restart"
"""On the TelemetryConsumer, by hand: any new value rolls the pods, for example after a Secret changed."""
ANNOTATION_RESET = f"{GROUP}/reset-offsets"
"""On the TelemetryConsumer, by hand: where its group is to be moved, once; see `telemetry_operator.resets`."""

ANNOTATION_KEDA_PAUSED = "autoscaling.keda.sh/paused"
"""On a ScaledObject: KEDA leaves its target alone."""

CONTAINER_WORKER = "worker"
CONTAINER_PREFLIGHT = "preflight"
VARIABLE_START_FROM = "CONSUMER_START_FROM"
"""The worker's variable for where a new group begins; what runs is asked for it, too."""
VOLUME_TMP = "tmp"
VOLUME_HANDLER = "handler"
VOLUME_KAFKA = "kafka"
HANDLER_DIRECTORY = "/etc/iot-hub/handler"
KAFKA_DIRECTORY = "/etc/iot-hub/kafka"
WORKER_PORT = 8081
WORKER_GROUP = 10001
"""The group id of the worker image's user."""

WATCH_SELECTOR = LABEL_CONSUMER
"""Label selector of what the operator watches: whatever was made for any TelemetryConsumer."""


class Key(NamedTuple):
    """A TelemetryConsumer's place: all that a reconcile is told."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def default_group_id(key: Key) -> str:
    """Return the consumer group of a TelemetryConsumer that names none."""
    return f"{key.namespace}.{key.name}"


def deployment_name(key: Key) -> str:
    """Return the Deployment's name: the TelemetryConsumer's own, so that ``kubectl logs deploy/NAME`` is no riddle."""
    return key.name


def scaled_object_name(key: Key) -> str:
    """Return the name of the ScaledObject and of its TriggerAuthentication."""
    return key.name


def selector_labels(key: Key) -> dict[str, str]:
    """Return the labels that select a TelemetryConsumer's pods; like a Deployment's selector, they can never change."""
    return {LABEL_NAME: WORKER_APP, LABEL_CONSUMER: key.name}


def object_labels(key: Key) -> dict[str, str]:
    """Return the labels of everything made for a TelemetryConsumer."""
    return selector_labels(key) | {
        "app.kubernetes.io/instance": key.name,
        "app.kubernetes.io/component": "consumer",
        "app.kubernetes.io/part-of": "iot-hub",
        LABEL_MANAGED_BY: OPERATOR,
    }


def selector_string(key: Key) -> str:
    """Return ``selector_labels`` as kubectl and autoscalers take it."""
    return ",".join(f"{name}={value}" for name, value in sorted(selector_labels(key).items()))


def handler_path(file_key: str) -> str:
    """Return where a worker finds its handler's file."""
    return f"{HANDLER_DIRECTORY}/{file_key}"
