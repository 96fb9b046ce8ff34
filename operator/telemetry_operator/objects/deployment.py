"""From a TelemetryConsumer to the Deployment of its workers.

The workers' environment is the contract between operator and worker: what is written here, ``consumers.settings`` reads
(tests/contract compares the two). Every field that matters is written out, also where it equals Kubernetes' default:
server-side apply only mends what the applied object names.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from telemetry_operator import naming
from telemetry_operator.objects.connection import build_connection, build_secret_variables
from telemetry_operator.objects.metadata import build_metadata
from telemetry_operator.objects.volumes import build_mounts, build_volumes, has_writable_claim
from telemetry_operator.settings import Settings
from telemetry_operator.spec import Consumer

Manifest = dict[str, Any]


@dataclass(frozen=True)
class WorkerDefaults:
    """What the operator's settings say about every worker."""

    image: str
    pull_policy: str
    pull_secrets: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    """Kafka's connection and the logging, as variables."""


def build_worker_defaults(settings: Settings) -> WorkerDefaults:
    """Return what ``settings`` hand on to the workers."""
    handed_on = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": settings.kafka_security_protocol,
        "KAFKA_GROUP_PROTOCOL": settings.kafka_group_protocol,
        "KAFKA_PROPERTIES": settings.kafka_properties,
        "LOG_LEVEL": settings.log_level,
        "LOG_FORMAT": settings.log_format or "json",
    }
    return WorkerDefaults(
        image=settings.worker_image,
        pull_policy=settings.worker_image_pull_policy,
        pull_secrets=settings.worker_image_pull_secrets,
        environment=tuple((name, value) for name, value in handed_on.items() if value is not None),
    )


def build_deployment(consumer: Consumer, defaults: WorkerDefaults, handler_hash: str | None) -> Manifest:
    """Return the Deployment of ``consumer``.

    ``handler_hash`` is that of the handler's ConfigMap, None where it has none: another one rolls the pods.
    """
    key = consumer.key
    template = _build_pod_template(consumer, defaults, handler_hash)
    template["metadata"]["annotations"][naming.ANNOTATION_CONFIG_HASH] = compute_hash(template)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": build_metadata(consumer, naming.deployment_name(key)),
        "spec": {
            "replicas": consumer.workers,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": naming.selector_labels(key)},
            # The new pod's preflight runs before an old one leaves: a handler that can't work stops nothing.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    }


def compute_hash(value: object) -> str:
    """Return a short hash of ``value``, equal for equal JSON."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def build_worker_environment(consumer: Consumer, defaults: WorkerDefaults) -> list[Manifest]:
    """Return the worker's variables: the contract's, then the TelemetryConsumer's own, which win."""
    spec = consumer.spec
    handler = spec.handler
    values: dict[str, str | None] = {
        **build_connection(consumer, dict(defaults.environment)),
        "HTTP_PORT": str(naming.WORKER_PORT),
        "KAFKA_GROUP_ID": consumer.group_id,
        "CONSUMER_TOPICS": ",".join(spec.topics),
        "CONSUMER_HANDLER": handler.name or handler.class_,
        "CONSUMER_HANDLER_FILE": naming.handler_path(handler.config_map.key) if handler.config_map else None,
        "CONSUMER_HANDLER_OPTIONS": json.dumps(handler.options, sort_keys=True) if handler.options else None,
        "CONSUMER_BATCH": _boolean(spec.batch.enabled),
        "CONSUMER_BATCH_MAX_SIZE": str(spec.batch.max_size),
        "CONSUMER_TIMEOUT_SECONDS": _number(spec.batch.timeout_seconds),
        "CONSUMER_DECODE_JSON": _boolean(spec.decode_json),
        "CONSUMER_COMMIT": spec.commit,
        "CONSUMER_DELIVERY": spec.delivery,
        "CONSUMER_HANDLE_LIMIT_SECONDS": str(spec.handle_limit_seconds),
        naming.VARIABLE_START_FROM: spec.start_from,
        "CONSUMER_OUTPUT_TOPIC": consumer.output_topic,
        "CONSUMER_DLQ_TOPIC": consumer.dead_letter_topic,
        "CONSUMER_MAX_ATTEMPTS": str(spec.max_attempts),
    }
    if spec.env_from:
        # Empty counts as not set, and a name that is there can't come from a Secret or ConfigMap as a whole.
        values = {name: value or "" for name, value in values.items()}
    variables: list[Manifest] = [
        {"name": name, "value": _literal(value)} for name, value in values.items() if value is not None
    ]
    # The pod's name tells members of a group apart, in the broker's logs and in Kafka UI.
    pod_name = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}
    variables += [*build_secret_variables(consumer), {"name": "KAFKA_CLIENT_ID", "valueFrom": pod_name}]
    own = {variable["name"] for variable in spec.env}
    return [*(variable for variable in variables if variable["name"] not in own), *spec.env]


def _build_pod_template(consumer: Consumer, defaults: WorkerDefaults, handler_hash: str | None) -> Manifest:
    spec = consumer.spec
    annotations = dict(spec.pod_annotations)
    if handler_hash is not None:
        annotations[naming.ANNOTATION_HANDLER_HASH] = handler_hash
    if consumer.restart is not None:
        annotations[naming.ANNOTATION_RESTART] = consumer.restart
    security: Manifest = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if has_writable_claim(consumer):
        # A claim belongs to root at first; an image of one's own may run as any user, so the group has to do.
        security |= {"fsGroup": naming.WORKER_GROUP, "fsGroupChangePolicy": "OnRootMismatch"}
    pod: Manifest = {
        "automountServiceAccountToken": False,
        # A Service called kafka would put KAFKA_PORT=tcp://… among the settings.
        "enableServiceLinks": False,
        # Time to finish what is in hand and to commit it before leaving the group.
        "terminationGracePeriodSeconds": 60,
        "securityContext": security,
        "initContainers": [_build_preflight(consumer, defaults)],
        "containers": [_build_worker(consumer, defaults)],
        "volumes": build_volumes(consumer),
    }
    pull_secrets = [secret.name for secret in spec.image_pull_secrets] or list(defaults.pull_secrets)
    if pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
    pod |= _build_scheduling(consumer)
    if spec.service_account_name is not None:
        pod["serviceAccountName"] = spec.service_account_name
    return {"metadata": {"labels": naming.object_labels(consumer.key), "annotations": annotations}, "spec": pod}


def _build_scheduling(consumer: Consumer) -> Manifest:
    spec = consumer.spec
    spread = [
        constraint.model_dump(by_alias=True) | {"labelSelector": {"matchLabels": naming.selector_labels(consumer.key)}}
        for constraint in spec.topology_spread_constraints
    ]
    fields: Manifest = {
        "priorityClassName": spec.priority_class_name,
        "nodeSelector": dict(spec.node_selector),
        "tolerations": [dict(toleration) for toleration in spec.tolerations],
        "affinity": dict(spec.affinity),
        "topologySpreadConstraints": spread,
    }
    return {name: value for name, value in fields.items() if value}


def _build_preflight(consumer: Consumer, defaults: WorkerDefaults) -> Manifest:
    return _build_container(naming.CONTAINER_PREFLIGHT, ["--preflight"], consumer, defaults)


def _build_worker(consumer: Consumer, defaults: WorkerDefaults) -> Manifest:
    def probe(path: str, **timing: int) -> Manifest:
        return {"httpGet": {"path": path, "port": naming.WORKER_PORT, "scheme": "HTTP"}, "timeoutSeconds": 5} | timing

    return _build_container(naming.CONTAINER_WORKER, [], consumer, defaults) | {
        "ports": [{"name": "http", "containerPort": naming.WORKER_PORT, "protocol": "TCP"}],
        # Alive as soon as it answers, ready once it has its partitions. A start that waits for /readyz would kill
        # workers for a Kafka that is away, which no restart mends.
        "startupProbe": probe("/healthz", periodSeconds=1, failureThreshold=60),
        "readinessProbe": probe("/readyz", periodSeconds=3, failureThreshold=2),
        "livenessProbe": probe("/healthz", periodSeconds=10, failureThreshold=3),
    }


def _build_container(name: str, arguments: list[str], consumer: Consumer, defaults: WorkerDefaults) -> Manifest:
    container: Manifest = {
        "name": name,
        "image": consumer.spec.image or defaults.image,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "consumers", *arguments],
        "env": build_worker_environment(consumer, defaults),
        "resources": consumer.spec.resources,
        "volumeMounts": build_mounts(consumer),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        # A process that dies without its last words leaves the end of its log in their place.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if consumer.spec.env_from:
        container["envFrom"] = [dict(source) for source in consumer.spec.env_from]
    return container


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _literal(value: str) -> str:
    # The kubelet expands $(NAME) in a value, and takes two dollars for one.
    return value.replace("$", "$$")
