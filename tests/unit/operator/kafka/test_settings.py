"""Connection of the operator's Kafka client: each variable changed once, each way to be wrong named by it."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry_operator.errors import SettingsError
from telemetry_operator.kafka.settings import load_kafka_settings

LEAST = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}


def test_the_least_environment() -> None:
    properties = load_kafka_settings(LEAST | {"KAFKA_SASL_USERNAME": "", "KAFKA_HOME": "/opt/kafka"}).to_librdkafka()
    assert properties["bootstrap.servers"] == "kafka:9092"
    assert properties["client.id"] == "iot-hub-operator"
    assert properties["security.protocol"] == "PLAINTEXT"
    assert not any(name.startswith(("sasl", "ssl")) for name in properties)


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "a:1,b:2", "bootstrap.servers", "a:1,b:2"),
        ("KAFKA_CLIENT_ID", "me", "client.id", "me"),
        ("KAFKA_SECURITY_PROTOCOL", "SSL", "security.protocol", "SSL"),
        ("KAFKA_SASL_MECHANISM", "PLAIN", "sasl.mechanism", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "operator", "sasl.username", "operator"),
        ("KAFKA_SASL_PASSWORD", "secret", "sasl.password", "secret"),
        ("KAFKA_SSL_CA_LOCATION", "/ca", "ssl.ca.location", "/ca"),
        ("KAFKA_SSL_CERTIFICATE_LOCATION", "/crt", "ssl.certificate.location", "/crt"),
        ("KAFKA_SSL_KEY_LOCATION", "/key", "ssl.key.location", "/key"),
        ("KAFKA_PROPERTIES", '{"socket.timeout.ms": 1}', "socket.timeout.ms", 1),
    ],
)
def test_each_variable_sets_its_property(variable: str, value: str, name: str, expected: Any) -> None:
    assert load_kafka_settings(LEAST | {variable: value}).to_librdkafka()[name] == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS: is required and not set"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "a b"}, "KAFKA_BOOTSTRAP_SERVERS: must hold no blanks"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL: "),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM: "),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "it needs KAFKA_SASL_MECHANISM"),
        ({"KAFKA_PROPERTIES": "[1]"}, "KAFKA_PROPERTIES: must be a JSON object"),
        ({"KAFKA_PROPERTIES": "{"}, "KAFKA_PROPERTIES: must be a JSON object"),
        ({"KAFKA_PROPERTIES": '{"a": []}'}, "KAFKA_PROPERTIES: 'a' must be a string"),
    ],
)
def test_what_can_not_work_is_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said.replace("[", r"\[")):
        load_kafka_settings(LEAST | variables)


def test_secrets_show_up_nowhere() -> None:
    secrets = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "operator",
        "KAFKA_SASL_PASSWORD": "hunter2",
        "KAFKA_PROPERTIES": '{"ssl.key.password": "hunter2"}',
    }
    assert "hunter2" not in repr(load_kafka_settings(LEAST | secrets))
    with pytest.raises(SettingsError) as raised:
        load_kafka_settings(secrets | {"KAFKA_PROPERTIES": '{"ssl.key.password": ["hunter2"]}'})
    assert "hunter2" not in str(raised.value)
