"""The Deployment that a TelemetryConsumer becomes."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry_operator import naming
from telemetry_operator.naming import Key
from telemetry_operator.objects.deployment import (
    build_deployment,
    build_worker_defaults,
    build_worker_environment,
    compute_hash,
)
from telemetry_operator.settings import load_settings
from unit.operator.samples import DEFAULTS, KEY, UID, consumer

CONFIG_MAP = {"class": "Alarm", "configMap": {"name": "code", "key": "alarm.py"}}
VOLUMES = [
    {"name": "certificates", "mountPath": "/etc/certificates", "secret": {"secretName": "s"}},
    {"name": "tables", "mountPath": "/etc/tables", "configMap": {"name": "c", "optional": True}},
    {"name": "data", "mountPath": "/data", "persistentVolumeClaim": {"claimName": "p"}},
    {"name": "archive", "mountPath": "/archive", "persistentVolumeClaim": {"claimName": "q", "readOnly": True}},
]


def build(spec: dict[str, Any] | None = None, handler_hash: str | None = None, **metadata: Any) -> dict[str, Any]:
    return build_deployment(consumer(spec, **metadata), DEFAULTS, handler_hash)


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def annotations_of(manifest: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = manifest["spec"]["template"]["metadata"]["annotations"]
    return found


def variables(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    listed = build_worker_environment(consumer(spec), DEFAULTS)
    found = {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in listed}
    assert len(found) == len(listed), "a variable is written twice"
    return found


def test_it_belongs_to_the_telemetryconsumer() -> None:
    metadata = build()["metadata"]
    assert Key(metadata["namespace"], metadata["name"]) == KEY
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "telemetry.iot-hub.io/v1alpha1",
            "kind": "TelemetryConsumer",
            "name": KEY.name,
            "uid": UID,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert "finalizers" not in metadata


def test_its_pods_are_selected_and_rolled_without_a_gap() -> None:
    spec = build()["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(("spec", "expected"), [({}, 1), ({"replicas": 3}, 3), ({"replicas": 3, "paused": True}, 0)])
def test_replicas(spec: dict[str, Any], expected: int) -> None:
    assert build(spec)["spec"]["replicas"] == expected


@pytest.mark.parametrize("spec", [{}, {"handler": CONFIG_MAP}, {"volumes": VOLUMES}])
def test_every_container_meets_the_restricted_pod_security_standard(spec: dict[str, Any]) -> None:
    template = pod(build(spec))
    context = template["securityContext"]
    assert {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}.items() <= context.items()
    containers = template["initContainers"] + template["containers"]
    assert [container["name"] for container in containers] == ["preflight", "worker"]
    for container in containers:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
    for volume in template["volumes"]:
        assert set(volume) - {"name"} <= {"emptyDir", "configMap", "secret", "persistentVolumeClaim"}


def test_the_pod_gets_no_token_no_service_variables_and_time_to_leave_the_group() -> None:
    template = pod(build())
    assert template["automountServiceAccountToken"] is False
    assert template["enableServiceLinks"] is False
    assert template["terminationGracePeriodSeconds"] == 60


def test_the_preflight_is_the_worker_but_for_its_argument_its_probes_and_its_port() -> None:
    template = pod(build({"handler": CONFIG_MAP}, "h"))
    preflight, worker = template["initContainers"][0], template["containers"][0]
    own = {"name", "command", "ports", "startupProbe", "readinessProbe", "livenessProbe"}
    assert {k: v for k, v in preflight.items() if k not in own} == {k: v for k, v in worker.items() if k not in own}
    assert worker["command"] == ["python", "-m", "consumers"]
    assert preflight["command"] == ["python", "-m", "consumers", "--preflight"]


def test_a_kafka_that_is_away_restarts_no_worker() -> None:
    worker = pod(build())["containers"][0]
    assert {worker[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8081, "scheme": "HTTP"}
    assert worker["ports"][0]["containerPort"] == 8081


def test_the_contracts_variables_of_a_least_spec() -> None:
    assert variables() == {
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "LOG_LEVEL": "INFO",
        "LOG_FORMAT": "json",
        "HTTP_PORT": "8081",
        "KAFKA_GROUP_ID": "plant.raw-logger",
        "KAFKA_CLIENT_ID": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        "CONSUMER_TOPICS": "telemetry.raw",
        "CONSUMER_HANDLER": "logger",
        "CONSUMER_BATCH": "true",
        "CONSUMER_BATCH_MAX_SIZE": "500",
        "CONSUMER_TIMEOUT_SECONDS": "1",
        "CONSUMER_DECODE_JSON": "true",
        "CONSUMER_COMMIT": "manual",
        "CONSUMER_DELIVERY": "at-least-once",
        "CONSUMER_HANDLE_LIMIT_SECONDS": "900",
        "CONSUMER_START_FROM": "earliest",
        "CONSUMER_DLQ_TOPIC": "telemetry.dlq",
        "CONSUMER_MAX_ATTEMPTS": "5",
    }


@pytest.mark.parametrize(
    ("spec", "variable", "expected"),
    [
        ({"topics": ["a", "b"]}, "CONSUMER_TOPICS", "a,b"),
        ({"groupId": "mine"}, "KAFKA_GROUP_ID", "mine"),
        ({"handler": {"class": "a.b:C"}}, "CONSUMER_HANDLER", "a.b:C"),
        ({"handler": CONFIG_MAP}, "CONSUMER_HANDLER", "Alarm"),
        ({"handler": CONFIG_MAP}, "CONSUMER_HANDLER_FILE", "/etc/iot-hub/handler/alarm.py"),
        (
            {"handler": {"name": "logger", "options": {"b": 1, "a": "ü"}}},
            "CONSUMER_HANDLER_OPTIONS",
            '{"a": "\\u00fc", "b": 1}',
        ),
        ({"batch": {"enabled": False}}, "CONSUMER_BATCH", "false"),
        ({"batch": {"maxSize": 7}}, "CONSUMER_BATCH_MAX_SIZE", "7"),
        ({"batch": {"timeoutSeconds": 0.25}}, "CONSUMER_TIMEOUT_SECONDS", "0.25"),
        ({"decodeJson": False}, "CONSUMER_DECODE_JSON", "false"),
        ({"commit": "auto"}, "CONSUMER_COMMIT", "auto"),
        ({"delivery": "exactly-once"}, "CONSUMER_DELIVERY", "exactly-once"),
        ({"handleLimitSeconds": 60}, "CONSUMER_HANDLE_LIMIT_SECONDS", "60"),
        ({"startFrom": "2026-02-20T22:45:00Z"}, "CONSUMER_START_FROM", "2026-02-20T22:45:00Z"),
        ({"maxAttempts": 9}, "CONSUMER_MAX_ATTEMPTS", "9"),
        ({"deadLetter": {"topic": "bin"}}, "CONSUMER_DLQ_TOPIC", "bin"),
        ({"deadLetter": {"enabled": False}}, "CONSUMER_DLQ_TOPIC", None),
        ({"output": {"topic": "out"}}, "CONSUMER_OUTPUT_TOPIC", "out"),
        ({"handler": {"name": "validator"}}, "CONSUMER_OUTPUT_TOPIC", "telemetry.clean"),
        ({"env": [{"name": "LIMIT", "value": "3"}]}, "LIMIT", "3"),
        ({"env": [{"name": "LOG_LEVEL", "value": "DEBUG"}]}, "LOG_LEVEL", "DEBUG"),
        (
            {"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            "P",
            {"secretKeyRef": {"name": "s", "key": "k"}},
        ),
    ],
)
def test_each_field_reaches_its_variable(spec: dict[str, Any], variable: str, expected: Any) -> None:
    assert variables(spec).get(variable) == expected


def test_no_value_is_expanded_by_the_kubelet() -> None:
    options = {"handler": {"name": "logger", "options": {"text": "$(HOME) $$5"}}}
    assert variables(options)["CONSUMER_HANDLER_OPTIONS"] == '{"text": "$$(HOME) $$$$5"}'


@pytest.mark.parametrize(
    ("spec", "where", "expected"),
    [
        ({"nodeSelector": {"zone": "a"}}, "nodeSelector", {"zone": "a"}),
        ({"tolerations": [{"key": "k", "operator": "Exists"}]}, "tolerations", [{"key": "k", "operator": "Exists"}]),
        ({"imagePullSecrets": [{"name": "s"}]}, "imagePullSecrets", [{"name": "s"}]),
        ({"serviceAccountName": "cloud"}, "serviceAccountName", "cloud"),
        ({"priorityClassName": "high"}, "priorityClassName", "high"),
        ({"affinity": {"podAffinity": {}}}, "affinity", {"podAffinity": {}}),
        (
            {"topologySpreadConstraints": [{"topologyKey": "zone"}]},
            "topologySpreadConstraints",
            [
                {
                    "topologyKey": "zone",
                    "maxSkew": 1,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": naming.selector_labels(KEY)},
                }
            ],
        ),
    ],
)
def test_fields_of_the_pod(spec: dict[str, Any], where: str, expected: Any) -> None:
    assert pod(build(spec))[where] == expected
    assert where not in pod(build())


def test_image_and_resources_are_the_specs_where_it_names_them() -> None:
    worker = pod(build({"image": "mine:2", "resources": {"limits": {"memory": "1Gi"}}}))["containers"][0]
    assert (worker["image"], worker["resources"]) == ("mine:2", {"limits": {"memory": "1Gi"}})
    default = pod(build())["containers"][0]
    assert (default["image"], default["imagePullPolicy"]) == ("iot-hub/worker:1", "IfNotPresent")
    assert default["resources"]["limits"] == {"memory": "512Mi"}


def test_the_handlers_file_is_mounted_read_only_and_alone() -> None:
    template = pod(build({"handler": CONFIG_MAP}, "h"))
    assert {"name": "handler", "configMap": {"name": "code", "items": [{"key": "alarm.py", "path": "alarm.py"}]}} in (
        template["volumes"]
    )
    for container in template["initContainers"] + template["containers"]:
        assert {"name": "handler", "mountPath": "/etc/iot-hub/handler", "readOnly": True} in container["volumeMounts"]


def test_volumes_are_mounted_by_name_and_only_a_claim_may_be_written_to() -> None:
    template = pod(build({"volumes": VOLUMES}))
    assert template["volumes"][1:] == [
        {"name": "certificates", "secret": {"secretName": "s", "optional": False}},
        {"name": "tables", "configMap": {"name": "c", "optional": True}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "p", "readOnly": False}},
        {"name": "archive", "persistentVolumeClaim": {"claimName": "q", "readOnly": True}},
    ]
    for container in template["initContainers"] + template["containers"]:
        assert container["volumeMounts"][1:] == [
            {"name": "certificates", "mountPath": "/etc/certificates", "readOnly": True},
            {"name": "tables", "mountPath": "/etc/tables", "readOnly": True},
            {"name": "data", "mountPath": "/data", "readOnly": False},
            {"name": "archive", "mountPath": "/archive", "readOnly": True},
        ]
    assert template["securityContext"]["fsGroup"] == 10001
    assert "fsGroup" not in pod(build({"volumes": VOLUMES[3:]}))["securityContext"]


def test_whole_objects_become_variables_but_none_of_the_contracts() -> None:
    """Given a Secret of any keys, then none reaches a variable of the contract, not even one that is not set."""
    sources = [{"prefix": "A_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "c", "optional": True}}]
    template = pod(build({"envFrom": sources, "deadLetter": {"enabled": False}}))
    for container in template["initContainers"] + template["containers"]:
        assert container["envFrom"] == sources
        assert {"name": "CONSUMER_DLQ_TOPIC", "value": ""} in container["env"]
        assert {"name": "CONSUMER_HANDLER_FILE", "value": ""} in container["env"]
    assert "envFrom" not in pod(build())["containers"][0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (build(), build({"maxAttempts": 6})),
        (build({"handler": CONFIG_MAP}, "one"), build({"handler": CONFIG_MAP}, "two")),
        (build(), build(annotations={naming.ANNOTATION_RESTART: "now"})),
        (build(), build({"podAnnotations": {"team": "a"}})),
    ],
)
def test_a_change_rolls_the_pods_and_shows_in_the_config_hash(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert before["spec"]["template"] != after["spec"]["template"]
    assert annotations_of(before)[naming.ANNOTATION_CONFIG_HASH] != annotations_of(after)[naming.ANNOTATION_CONFIG_HASH]


@pytest.mark.parametrize("spec", [{"replicas": 5}, {"paused": True}])
def test_scaling_and_pausing_roll_nothing(spec: dict[str, Any]) -> None:
    assert build(spec)["spec"]["template"] == build()["spec"]["template"]


def test_settings_become_the_workers_defaults() -> None:
    settings = load_settings(
        {
            "OPERATOR_WORKER_IMAGE": "w:1",
            "OPERATOR_WORKER_IMAGE_PULL_POLICY": "Always",
            "OPERATOR_WORKER_IMAGE_PULL_SECRETS": "s1,s2",
            "KAFKA_BOOTSTRAP_SERVERS": "k:9092",
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_GROUP_PROTOCOL": "consumer",
            "KAFKA_PROPERTIES": '{"socket.keepalive.enable": true}',
            "LOG_LEVEL": "WARNING",
        }
    )
    defaults = build_worker_defaults(settings)
    template = pod(build_deployment(consumer(), defaults, None))
    assert template["imagePullSecrets"] == [{"name": "s1"}, {"name": "s2"}]
    assert template["containers"][0]["imagePullPolicy"] == "Always"
    assert dict(defaults.environment) == {
        "KAFKA_BOOTSTRAP_SERVERS": "k:9092",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_GROUP_PROTOCOL": "consumer",
        "KAFKA_PROPERTIES": '{"socket.keepalive.enable": true}',
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "json",
    }


def test_the_hash_is_of_the_content_not_of_the_order() -> None:
    assert compute_hash({"a": 1, "b": [2]}) == compute_hash({"b": [2], "a": 1})
    assert compute_hash("ü\ud800") != compute_hash("u")
