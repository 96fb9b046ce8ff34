"""The operator's settings: each one changed once, each way to be wrong named by its variable."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry_operator.errors import SettingsError
from telemetry_operator.settings import load_settings

LEAST = {"OPERATOR_WORKER_IMAGE": "iot-hub/worker:1", "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}


def test_the_least_environment_gives_the_documented_defaults() -> None:
    settings = load_settings(LEAST)
    assert settings.worker_image == "iot-hub/worker:1"
    assert settings.kafka_bootstrap_servers == "kafka:9092"
    assert settings.worker_image_pull_policy == "IfNotPresent"
    assert settings.worker_image_pull_secrets == ()
    assert settings.namespaces == ()
    assert settings.resync_seconds == 30
    assert settings.http_port == 8081
    assert settings.log_level == "INFO"
    assert (settings.kafka_security_protocol, settings.kafka_group_protocol, settings.kafka_properties) == (None,) * 3


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("OPERATOR_WORKER_IMAGE", "other:2", "worker_image", "other:2"),
        ("OPERATOR_WORKER_IMAGE_PULL_POLICY", "Never", "worker_image_pull_policy", "Never"),
        ("OPERATOR_WORKER_IMAGE_PULL_SECRETS", "a, b,,a", "worker_image_pull_secrets", ("a", "b")),
        ("OPERATOR_NAMESPACES", " plant ,lab", "namespaces", ("plant", "lab")),
        ("OPERATOR_RESYNC_SECONDS", "5", "resync_seconds", 5),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:1,b:2", "kafka_bootstrap_servers", "a:1,b:2"),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "kafka_security_protocol", "SASL_SSL"),
        ("KAFKA_GROUP_PROTOCOL", "consumer", "kafka_group_protocol", "consumer"),
        ("KAFKA_PROPERTIES", '{"a": 1}', "kafka_properties", '{"a": 1}'),
        ("HTTP_PORT", "9000", "http_port", 9000),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("LOG_FORMAT", "console", "log_format", "console"),
    ],
)
def test_each_variable_sets_its_field(variable: str, value: str, field: str, expected: Any) -> None:
    assert getattr(load_settings(LEAST | {variable: value}), field) == expected


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OPERATOR_WORKER_IMAGE", "an image", "must hold no blanks"),
        ("OPERATOR_WORKER_IMAGE_PULL_POLICY", "Sometimes", "'Always', 'IfNotPresent' or 'Never'"),
        ("OPERATOR_NAMESPACES", "plant-*", "patterns are not supported"),
        ("OPERATOR_RESYNC_SECONDS", "0", "greater than or equal to 1"),
        ("KAFKA_PROPERTIES", "[1]", "must be a JSON object"),
        ("KAFKA_PROPERTIES", "{", "must be a JSON object"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT'"),
        ("HTTP_PORT", "80o1", "valid integer"),
        ("LOG_LEVEL", "loud", "'DEBUG'"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(LEAST | {variable: value})
    assert str(caught.value).startswith(f"{variable}: ")
    assert said in str(caught.value)
    assert repr(value) in str(caught.value)


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"HTTP_PORT": "x"})
    for variable in ("OPERATOR_WORKER_IMAGE", "KAFKA_BOOTSTRAP_SERVERS"):
        assert f"{variable}: is required and not set" in str(caught.value)
    assert "HTTP_PORT: " in str(caught.value)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings(LEAST | {"HTTP_PORT": "", "OPERATOR_NAMESPACES": ""}) == load_settings(LEAST)
