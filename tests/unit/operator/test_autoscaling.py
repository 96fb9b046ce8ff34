"""The ScaledObject that a TelemetryConsumer with autoscaling becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telemetry_operator import naming
from telemetry_operator.facts import ScaledObjectFact, read_scaled_object
from telemetry_operator.objects.autoscaling import build_scaled_object, build_trigger_authentication
from telemetry_operator.status import judge_missing_keda, judge_scaled_object
from unit.operator.samples import DEFAULTS, KEY, UID, consumer

SCALING = {"minReplicas": 0, "maxReplicas": 4, "lagThreshold": 50, "cooldownSeconds": 120}
SCRAM = {"securityProtocol": "SASL_SSL", "saslMechanism": "SCRAM-SHA-256", "secretRef": {"name": "my-kafka"}}


def build(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return build_scaled_object(consumer({"autoscaling": SCALING, **(spec or {})}), DEFAULTS)


def triggers(spec: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = build(spec)["spec"]["triggers"]
    return found


def fact(ready: tuple[str, str, str] | None) -> ScaledObjectFact:
    body = {**build(), "metadata": {**build()["metadata"], "uid": "s-1", "resourceVersion": "5", "generation": 1}}
    if ready is not None:
        words = dict(zip(("status", "reason", "message"), ready, strict=True))
        body["status"] = {"conditions": [{"type": "Active", "status": "True"}, {"type": "Ready", **words}]}
    return read_scaled_object(body)


def test_it_scales_the_telemetryconsumer_and_goes_with_it() -> None:
    manifest = build()
    assert (manifest["metadata"]["namespace"], manifest["metadata"]["name"]) == KEY
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == UID
    assert manifest["spec"]["scaleTargetRef"] == {
        "apiVersion": "telemetry.iot-hub.io/v1alpha1",
        "kind": "TelemetryConsumer",
        "name": manifest["metadata"]["name"],
    }


def test_bounds_and_cool_downs_are_the_specs() -> None:
    spec = build()["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 4, 120)
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 120
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_each_topic_has_a_trigger_that_never_asks_for_more_workers_than_partitions() -> None:
    found = triggers({"topics": ["a", "b"], "groupId": "mine"})
    assert [trigger["metadata"]["topic"] for trigger in found] == ["a", "b"]
    for trigger in found:
        assert trigger["type"] == "kafka"
        assert "authenticationRef" not in trigger
        expected = {
            "bootstrapServers": "kafka:9092",
            "consumerGroup": "mine",
            "lagThreshold": "50",
            "allowIdleConsumers": "false",
            "scaleToZeroOnInvalidOffset": "false",
            "tls": "disable",
            "sasl": "none",
        }
        assert expected.items() <= trigger["metadata"].items()


@pytest.mark.parametrize(
    ("start", "policy"), [("earliest", "earliest"), ("latest", "latest"), ("2026-02-20T22:45:00Z", "earliest")]
)
def test_a_group_without_a_place_counts_from_where_it_will_begin(start: str, policy: str) -> None:
    assert triggers({"startFrom": start})[0]["metadata"]["offsetResetPolicy"] == policy


def test_paused_it_lets_go() -> None:
    assert build({"paused": True})["metadata"]["annotations"] == {naming.ANNOTATION_KEDA_PAUSED: "true"}
    assert "annotations" not in build()["metadata"]


def test_a_login_that_the_operators_kafka_asks_for_and_nobody_wrote_breaks_nothing() -> None:
    defaults = replace(DEFAULTS, environment=(*DEFAULTS.environment, ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")))
    made = build_scaled_object(consumer({"autoscaling": SCALING}), defaults)
    ours = {"tls": "enable", "sasl": "none"}
    assert ours.items() <= made["spec"]["triggers"][0]["metadata"].items()


def test_keda_takes_user_and_certificates_from_the_secret_itself() -> None:
    kafka = {"bootstrapServers": "other:9093", **SCRAM}
    (trigger,) = triggers({"kafka": kafka})
    ours = {"bootstrapServers": "other:9093", "tls": "enable", "sasl": "scram_sha256"}
    assert ours.items() <= trigger["metadata"].items()
    authentication = build_trigger_authentication(consumer({"kafka": kafka}))
    assert authentication is not None
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    assert authentication["spec"]["secretTargetRef"] == [
        {"parameter": "username", "name": "my-kafka", "key": "username"},
        {"parameter": "password", "name": "my-kafka", "key": "password"},
        {"parameter": "ca", "name": "my-kafka", "key": "ca.crt"},
    ]
    assert build_trigger_authentication(consumer()) is None


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        (None, ("Unknown", "ScaledObjectPending", "not taken up")),
        (("Unknown", "", ""), ("Unknown", "ScaledObjectPending", "not taken up")),
        (("True", "ScaledObjectReady", "ready"), ("True", "Scaling", "0 to 4 workers, one for each 50 messages")),
        (("False", "TriggerError", "no broker"), ("False", "TriggerError", "KEDA: no broker")),
        (("False", "", "no broker"), ("False", "ScaledObjectFailed", "KEDA: no broker")),
    ],
)
def test_what_keda_says_becomes_the_condition(
    ready: tuple[str, str, str] | None, expected: tuple[str, str, str]
) -> None:
    condition = judge_scaled_object(consumer({"autoscaling": SCALING}), fact(ready))
    assert (condition.type, condition.status, condition.reason) == ("AutoscalingReady", *expected[:2])
    assert expected[2] in condition.message


def test_paused_wins_over_what_keda_says() -> None:
    paused = consumer({"autoscaling": SCALING, "paused": True})
    assert judge_scaled_object(paused, fact(("False", "X", "y"))).reason == "Paused"


def test_without_keda_the_condition_says_what_to_do() -> None:
    condition = judge_missing_keda()
    assert (condition.status, condition.reason) == ("False", "KedaMissing")
    assert "install KEDA" in condition.message
