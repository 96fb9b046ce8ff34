"""How a worker reaches Kafka: the operator's way, the TelemetryConsumer's, and the Secret that nobody reads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from telemetry_operator.objects.deployment import build_deployment
from unit.operator.samples import DEFAULTS, consumer

OPERATORS = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "KAFKA_GROUP_PROTOCOL": "consumer",
    "KAFKA_PROPERTIES": '{"socket.keepalive.enable": true, "fetch.wait.max.ms": 100}',
    "LOG_LEVEL": "INFO",
}
SCRAM = {"securityProtocol": "SASL_SSL", "saslMechanism": "SCRAM-SHA-512", "secretRef": {"name": "my-kafka"}}


def build(kafka: dict[str, Any] | None, **spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The worker's variables and its pod."""
    defaults = replace(DEFAULTS, environment=tuple(OPERATORS.items()))
    written = consumer(({"kafka": kafka} if kafka is not None else {}) | spec)
    pod = build_deployment(written, defaults, None)["spec"]["template"]["spec"]
    assert pod["containers"][0]["env"] == pod["initContainers"][0]["env"]
    listed = pod["containers"][0]["env"]
    variables = {one["name"]: one.get("value", one.get("valueFrom")) for one in listed}
    assert len(variables) == len(listed), "a variable is written twice"
    return variables, pod


def ways(variables: dict[str, Any]) -> dict[str, Any]:
    """Those that say how Kafka is reached."""
    about = ("KAFKA_BOOTSTRAP", "KAFKA_S", "KAFKA_GROUP_PROTOCOL", "KAFKA_PROPERTIES")
    return {name: value for name, value in variables.items() if name.startswith(about)}


def test_without_the_field_it_is_the_operators_way() -> None:
    variables, pod = build(None)
    assert OPERATORS.items() <= variables.items()
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]


def test_another_kafka_takes_over_nothing_of_the_operators() -> None:
    variables, _ = build({"bootstrapServers": "other:9092"})
    assert ways(variables) == {"KAFKA_BOOTSTRAP_SERVERS": "other:9092"}
    assert variables["LOG_LEVEL"] == "INFO"


def test_without_bootstrap_servers_it_is_laid_over_the_operators() -> None:
    variables, _ = build({"properties": {"fetch.wait.max.ms": "500"}})
    properties = json.loads(variables.pop("KAFKA_PROPERTIES"))
    assert properties == {"socket.keepalive.enable": True, "fetch.wait.max.ms": "500"}
    kept = {name: value for name, value in OPERATORS.items() if name != "KAFKA_PROPERTIES"}
    assert kept.items() <= variables.items()


def test_user_and_certificates_come_from_the_secret_by_reference() -> None:
    variables, pod = build({"bootstrapServers": "other:9093", **SCRAM})
    assert ways(variables) == {
        "KAFKA_BOOTSTRAP_SERVERS": "other:9093",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": {"secretKeyRef": {"name": "my-kafka", "key": "username"}},
        "KAFKA_SASL_PASSWORD": {"secretKeyRef": {"name": "my-kafka", "key": "password"}},
        "KAFKA_SSL_CA_LOCATION": "/etc/iot-hub/kafka/ca.crt",
    }
    source = {"secretName": "my-kafka", "items": [{"key": "ca.crt", "path": "ca.crt"}], "optional": True}
    assert {"name": "kafka", "secret": source} in pod["volumes"]
    for container in pod["initContainers"] + pod["containers"]:
        mount = {"name": "kafka", "mountPath": "/etc/iot-hub/kafka", "readOnly": True}
        assert mount in container["volumeMounts"]


@pytest.mark.parametrize(
    ("protocol", "keys", "expected"),
    [
        ("SSL", None, {"KAFKA_SSL_CA_LOCATION"}),
        (
            "SSL",
            ["ca.crt", "tls.crt", "tls.key"],
            {"KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"},
        ),
        ("SSL", ["tls.crt", "tls.key"], {"KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"}),
        ("SASL_SSL", ["username", "password"], {"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}),
        ("SASL_PLAINTEXT", None, {"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}),
    ],
)
def test_the_keys_say_what_is_used(protocol: str, keys: list[str] | None, expected: set[str]) -> None:
    kafka: dict[str, Any] = {
        "securityProtocol": protocol,
        "secretRef": {"name": "s"} | ({"keys": keys} if keys else {}),
    }
    if protocol.startswith("SASL"):
        kafka["saslMechanism"] = "PLAIN"
    variables, pod = build(kafka)
    found = {name for name in variables if name.startswith(("KAFKA_SSL", "KAFKA_SASL_U", "KAFKA_SASL_P"))}
    assert found == expected
    has_files = any(name.startswith("KAFKA_SSL") for name in expected)
    assert any(volume["name"] == "kafka" for volume in pod["volumes"]) is has_files


def test_a_variable_of_ones_own_wins() -> None:
    variables, _ = build(SCRAM, env=[{"name": "KAFKA_SASL_USERNAME", "value": "somebody"}])
    assert variables["KAFKA_SASL_USERNAME"] == "somebody"
