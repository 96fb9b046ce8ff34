"""From a TelemetryConsumer to KEDA's ScaledObject, which sets the replicas of its /scale by the lag of its group.

KEDA asks Kafka itself, with a user and certificates from the same Secret as the workers: a TriggerAuthentication names
its keys, and the operator reads none of them.
"""

from __future__ import annotations

from typing import Any

from telemetry_operator import naming
from telemetry_operator.objects.connection import build_connection
from telemetry_operator.objects.deployment import WorkerDefaults
from telemetry_operator.objects.metadata import build_metadata
from telemetry_operator.spec import Consumer

Manifest = dict[str, Any]

POLLING_SECONDS = 15
SCALE_UP_SECONDS = 15
"""How long a higher lag has to last: one round of polling, so that a single burst that is worked off does not count."""
STEP_SECONDS = 60
"""The least time between two steps down, each of one worker: every step is a rebalance of the group."""

_SASL = {"PLAIN": "plaintext", "SCRAM-SHA-256": "scram_sha256", "SCRAM-SHA-512": "scram_sha512"}
_PARAMETERS = {"username": "username", "password": "password", "ca.crt": "ca", "tls.crt": "cert", "tls.key": "key"}
"""Keys of the Secret, and what KEDA calls them."""


def build_scaled_object(consumer: Consumer, defaults: WorkerDefaults) -> Manifest:
    """Return the ScaledObject of ``consumer``, whose spec asks for autoscaling."""
    scaling = consumer.spec.autoscaling
    if scaling is None:
        raise ValueError(f"{consumer.key} asks for no autoscaling")
    metadata = build_metadata(consumer, naming.scaled_object_name(consumer.key))
    if consumer.spec.paused:
        # KEDA lets go of the replicas, and takes them up again once the annotation is gone.
        metadata["annotations"] = {naming.ANNOTATION_KEDA_PAUSED: "true"}
    down = {
        "stabilizationWindowSeconds": scaling.cooldown_seconds,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": STEP_SECONDS}],
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {
                "apiVersion": f"{naming.GROUP}/{naming.VERSION}",
                "kind": naming.KIND,
                "name": consumer.key.name,
            },
            "minReplicaCount": scaling.min_replicas,
            "maxReplicaCount": scaling.max_replicas,
            "pollingInterval": POLLING_SECONDS,
            # From one worker to none; the steps before are the HorizontalPodAutoscaler's.
            "cooldownPeriod": scaling.cooldown_seconds,
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {"scaleUp": {"stabilizationWindowSeconds": SCALE_UP_SECONDS}, "scaleDown": down}
                }
            },
            "triggers": [_build_trigger(consumer, defaults, topic) for topic in consumer.spec.topics],
        },
    }


def build_trigger_authentication(consumer: Consumer) -> Manifest | None:
    """Return the TriggerAuthentication that names the keys of the Secret, None where there is no Secret."""
    own = consumer.spec.kafka
    if own is None or own.secret_ref is None:
        return None
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": build_metadata(consumer, naming.scaled_object_name(consumer.key)),
        "spec": {
            "secretTargetRef": [
                {"parameter": _PARAMETERS[key], "name": own.secret_ref.name, "key": key} for key in own.secret_keys
            ]
        },
    }


def _build_trigger(consumer: Consumer, defaults: WorkerDefaults, topic: str) -> Manifest:
    spec = consumer.spec
    threshold = spec.autoscaling.lag_threshold if spec.autoscaling is not None else 0
    way = build_connection(consumer, dict(defaults.environment))
    protocol = way.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    metadata = {
        "bootstrapServers": way["KAFKA_BOOTSTRAP_SERVERS"],
        "consumerGroup": consumer.group_id,
        "topic": topic,
        "lagThreshold": str(threshold),
        # What a group without a place will find, which is where the preflight puts it before the first worker starts.
        "offsetResetPolicy": "latest" if spec.start_from == "latest" else "earliest",
        # Never more workers than partitions.
        "allowIdleConsumers": "false",
        "scaleToZeroOnInvalidOffset": "false",
        "tls": "enable" if protocol in {"SSL", "SASL_SSL"} else "disable",
        # Where the operator's Kafka asks for a login, one has to be written: the workers say so, and KEDA does.
        "sasl": _SASL.get(way.get("KAFKA_SASL_MECHANISM", ""), "none"),
    }
    trigger: Manifest = {"type": "kafka", "metadata": metadata}
    if spec.kafka is not None and spec.kafka.secret_ref is not None:
        trigger["authenticationRef"] = {"name": naming.scaled_object_name(consumer.key)}
    return trigger
