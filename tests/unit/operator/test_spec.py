"""From a body to the model: the CRD's defaults, and the path and the advice for each field that can't work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from telemetry_operator.errors import SpecError
from telemetry_operator.spec import DEFAULT_RESOURCES, Spec, parse_consumer
from unit.operator.samples import KEY, UID, consumer, consumer_body

SASL = {"securityProtocol": "SASL_PLAINTEXT", "saslMechanism": "PLAIN"}
CRD = Path(__file__).parents[3] / "crds" / "telemetryconsumer.yaml"


def test_a_least_spec_gets_the_defaults() -> None:
    parsed = consumer()
    assert (parsed.key, parsed.uid, parsed.generation) == (KEY, UID, 1)
    assert parsed.group_id == "plant.raw-logger"
    assert parsed.workers == 1
    assert parsed.dead_letter_topic == "telemetry.dlq"
    assert parsed.output_topic is None
    assert parsed.restart is None
    spec = parsed.spec
    assert (spec.batch.enabled, spec.batch.max_size, spec.batch.timeout_seconds) == (True, 500, 1)
    assert (spec.decode_json, spec.commit, spec.start_from, spec.max_attempts) == (True, "manual", "earliest", 5)


def test_the_models_fields_and_defaults_are_the_crds() -> None:
    """Given the CRD, when its properties are laid beside the model's, then names and defaults agree."""
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = schema["properties"]["spec"]["properties"]
    assert set(properties) == {str(field.alias) for field in Spec.model_fields.values()}
    given = {name: field["default"] for name, field in properties.items() if "default" in field and name != "batch"}
    given["batch"] = {name: field["default"] for name, field in properties["batch"]["properties"].items()}
    with_defaults = consumer(given).spec
    without = consumer().spec
    # An empty deadLetter means the default topic: the CRD writes it out, the model resolves it.
    assert with_defaults.model_dump(exclude={"dead_letter"}) == without.model_dump(exclude={"dead_letter"})
    assert properties["resources"]["default"] == DEFAULT_RESOURCES
    assert consumer(given).dead_letter_topic == consumer().dead_letter_topic


@pytest.mark.parametrize(
    ("spec", "attribute", "expected"),
    [
        ({"groupId": "mine"}, "group_id", "mine"),
        ({"replicas": 4}, "workers", 4),
        ({"replicas": 4, "paused": True}, "workers", 0),
        ({"deadLetter": {"enabled": False}}, "dead_letter_topic", None),
        ({"deadLetter": {"topic": "bin"}}, "dead_letter_topic", "bin"),
        ({"deadLetter": {}}, "dead_letter_topic", "telemetry.dlq"),
        ({"output": {"topic": "out"}}, "output_topic", "out"),
        ({"handler": {"name": "validator"}}, "output_topic", "telemetry.clean"),
        ({"handler": {"name": "validator"}, "output": {"topic": "out"}}, "output_topic", "out"),
    ],
)
def test_what_follows_from_a_field(spec: dict[str, Any], attribute: str, expected: Any) -> None:
    assert getattr(consumer(spec), attribute) == expected


@pytest.mark.parametrize(
    "handler",
    [
        {"name": "logger", "options": {"level": "INFO"}},
        {"class": "a_package.a_module:AClass"},
        {"class": "module:Class"},
        {"class": "AClass", "configMap": {"name": "code", "key": "handler.py"}},
    ],
)
def test_each_way_to_name_a_handler_is_taken(handler: dict[str, Any]) -> None:
    assert consumer({"handler": handler}).spec.handler.model_dump(by_alias=True, exclude_unset=True) == handler


@pytest.mark.parametrize(
    "moment",
    ["earliest", "latest", "2026-02-20T22:45:00Z", "2026-02-20T22:45:00.123456+01:00", "2024-02-29T00:00:00-08:00"],
)
def test_each_place_to_start_from_is_taken(moment: str) -> None:
    assert consumer({"startFrom": moment}).spec.start_from == moment


@pytest.mark.parametrize(
    ("spec", "path", "said"),
    [
        ({"topics": []}, "spec.topics", "at least 1"),
        ({"topics": ["fine", "a b"]}, "spec.topics[1]", "letters, digits"),
        ({"topics": ["."]}, "spec.topics[0]", "letters, digits"),
        ({"topics": ["x" * 250]}, "spec.topics[0]", "1 to 249"),
        ({"handler": {}}, "spec.handler", "name: logger"),
        ({"handler": {"name": "logger", "class": "a:B"}}, "spec.handler", "write either"),
        ({"handler": {"name": "logger", "configMap": {"name": "a", "key": "b.py"}}}, "spec.handler", "not both"),
        ({"handler": {"class": "B"}}, "spec.handler", "package.module:Class"),
        (
            {"handler": {"class": "a:B", "configMap": {"name": "a", "key": "b.py"}}},
            "spec.handler",
            "class's name alone",
        ),
        ({"handler": {"class": "B", "configMap": {"name": "a"}}}, "spec.handler.configMap.key", "required"),
        ({"handler": {"name": "logger", "options": {"not-a-name": 1}}}, "spec.handler.options", "keyword argument"),
        ({"handler": {"name": "logger", "options": {"class": 1}}}, "spec.handler.options", "keyword argument"),
        ({"replicas": -1}, "spec.replicas", "greater than or equal to 0"),
        ({"batch": {"maxSize": 0}}, "spec.batch.maxSize", "greater than or equal to 1"),
        ({"batch": {"timeoutSeconds": 0}}, "spec.batch.timeoutSeconds", "greater than or equal to 0.01"),
        ({"commit": "sometimes"}, "spec.commit", "'manual' or 'auto'"),
        ({"delivery": "sometimes"}, "spec.delivery", "'at-least-once' or 'exactly-once'"),
        ({"delivery": "exactly-once", "commit": "auto"}, "spec", "write commit: manual"),
        ({"handleLimitSeconds": 0}, "spec.handleLimitSeconds", "greater than or equal to 1"),
        ({"startFrom": "yesterday"}, "spec.startFrom", "write earliest, latest"),
        ({"startFrom": "2026-02-20T22:45:00"}, "spec.startFrom", "with its zone"),
        ({"startFrom": "2026-02-31T22:45:00Z"}, "spec.startFrom", "no time that ever was"),
        ({"maxAttempts": 0}, "spec.maxAttempts", "greater than or equal to 1"),
        ({"deadLetter": {"topic": "a/b"}}, "spec.deadLetter.topic", "letters, digits"),
        ({"output": {}}, "spec.output.topic", "required"),
        ({"autoscaling": {"minReplicas": 7}}, "spec.autoscaling", "write a maxReplicas that is not less"),
        ({"autoscaling": {"maxReplicas": 0}}, "spec.autoscaling.maxReplicas", "greater than or equal to 1"),
        ({"kafka": {"securityProtocol": "SASL_SSL"}}, "spec.kafka", "write saslMechanism and secretRef"),
        ({"kafka": {"saslMechanism": "PLAIN"}}, "spec.kafka", "write securityProtocol"),
        ({"kafka": {"secretRef": {"name": "s"}}}, "spec.kafka", "write securityProtocol"),
        ({"kafka": {"securityProtocol": "TLS"}}, "spec.kafka.securityProtocol", "'SASL_SSL'"),
        ({"kafka": SASL | {"secretRef": {"name": "s", "keys": ["ca.crt"]}}}, "spec.kafka", "username and password"),
        (
            {"kafka": {"securityProtocol": "SSL", "secretRef": {"name": "s", "keys": ["tls.crt"]}}},
            "spec.kafka",
            "either both of tls.crt and tls.key or none",
        ),
        ({"kafka": {"properties": {"a": {"b": 1}}}}, "spec.kafka.properties.a", "string"),
        ({"volumes": [{"name": "a", "mountPath": "/a"}]}, "spec.volumes[0]", "exactly one"),
        (
            {"volumes": [{"name": "a", "mountPath": "/a", "secret": {"secretName": "s"}, "configMap": {"name": "c"}}]},
            "spec.volumes[0]",
            "exactly one",
        ),
        (
            {"topologySpreadConstraints": [{"topologyKey": "z", "whenUnsatisfiable": "Maybe"}]},
            "spec.topologySpreadConstraints[0].whenUnsatisfiable",
            "DoNotSchedule",
        ),
    ],
)
def test_a_field_that_cant_work_is_named_with_advice(spec: dict[str, Any], path: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        consumer(spec)
    assert caught.value.path == path
    assert said in caught.value.problem


def test_a_field_of_a_newer_crd_is_left_to_the_newer_operator() -> None:
    assert consumer({"newer": {"field": "x:1"}}).spec == consumer().spec


def test_the_restart_annotation_is_read() -> None:
    body = consumer_body(annotations={"telemetry.iot-hub.io/restart": "3"})
    assert parse_consumer(body).restart == "3"
