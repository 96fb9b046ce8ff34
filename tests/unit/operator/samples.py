"""Objects as the API server gives them, small enough to read; a test changes what it is about."""

from __future__ import annotations

from typing import Any

from telemetry_operator.facts import DeploymentFact, Owner, PodFact, Problem
from telemetry_operator.naming import Key
from telemetry_operator.objects.deployment import WorkerDefaults
from telemetry_operator.spec import Consumer, parse_consumer

KEY = Key("plant", "raw-logger")
UID = "0f0f0f0f-0000-4000-8000-000000000001"
DEFAULTS = WorkerDefaults(
    image="iot-hub/worker:1",
    pull_policy="IfNotPresent",
    pull_secrets=(),
    environment=(("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092"), ("LOG_LEVEL", "INFO"), ("LOG_FORMAT", "json")),
)


def consumer_body(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A TelemetryConsumer's body; ``spec`` is merged over a least one."""
    return {
        "apiVersion": "telemetry.iot-hub.io/v1alpha1",
        "kind": "TelemetryConsumer",
        "metadata": {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "uid": UID,
            "generation": 1,
            "resourceVersion": "10",
            **metadata,
        },
        "spec": {"topics": ["telemetry.raw"], "handler": {"name": "logger"}, **(spec or {})},
    }


def consumer(spec: dict[str, Any] | None = None, **metadata: Any) -> Consumer:
    """The same, parsed."""
    return parse_consumer(consumer_body(spec, **metadata))


def deployment_fact(**changes: Any) -> DeploymentFact:
    """A Deployment of the sample, with one worker that is ready."""
    values: dict[str, Any] = {
        "namespace": KEY.namespace,
        "name": KEY.name,
        "uid": "d-1",
        "version": 20,
        "labels": {},
        "owner": Owner(kind="TelemetryConsumer", name=KEY.name, uid=UID),
        "deleting": False,
        "generation": 1,
        "observed_generation": 1,
        "handler_hash": None,
        "start_from": "earliest",
        "replicas": 1,
        "updated": 1,
        "available": 1,
        "ready": 1,
        "failure": None,
    }
    return DeploymentFact(**{**values, **changes})


def pod_fact(name: str, problem: Problem | None = None, config_hash: str = "now", *, loaded: bool = False) -> PodFact:
    """A pod of the sample."""
    return PodFact(
        namespace=KEY.namespace,
        name=name,
        uid=f"uid-{name}",
        version=30,
        consumer=KEY.name,
        config_hash=config_hash,
        problem=problem,
        loaded=loaded,
        ended=False,
    )
