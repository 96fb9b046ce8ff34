"""What a real API server says to TelemetryConsumers: the sentence for each wrong one, silence for each right one.

Everything is a server-side dry run; nothing of it stays.
"""

from __future__ import annotations

from typing import Any

import pytest

from contract.kubectl import Kubectl, Refusal
from contract.samples import load_examples, manifest

pytestmark = pytest.mark.cluster

CODE = {"name": "code", "key": "handler.py"}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no topics": ({"topics": None}, "spec.topics: Required value"),
    "an empty list of topics": ({"topics": []}, "spec.topics in body should have at least 1 items"),
    "too many topics": ({"topics": [f"t{n}" for n in range(33)]}, "must have at most 32 items"),
    "a topic twice": ({"topics": ["a", "a"]}, 'spec.topics[1]: Duplicate value: "a"'),
    "a pattern for a topic": ({"topics": ["telemetry.*"]}, "write each topic by its full name"),
    "no handler": ({"handler": None}, "spec.handler: Required value"),
    "an empty handler": ({"handler": {}}, "write which handler: name: logger for a built-in one"),
    "a handler named twice": (
        {"handler": {"name": "logger", "class": "a:B"}},
        "write either name, for a built-in handler, or class (with or without configMap)",
    ),
    "a misspelt built-in handler": (
        {"handler": {"name": "loger"}},
        "the built-in handlers are logger and validator: write one of them, or class: package.module:Class",
    ),
    "a class without its module": (
        {"handler": {"class": "MyHandler"}},
        "class: write package.module:Class, for example my_package.my_module:MyHandler",
    ),
    "a ConfigMap without a class": (
        {"handler": {"configMap": CODE}},
        "write class beside configMap: the name of the handler's class in that Python file",
    ),
    "a ConfigMap and a module": (
        {"handler": {"configMap": CODE, "class": "a.b:C"}},
        "class: with configMap write the class's name alone",
    ),
    "a key that is no Python file": (
        {"handler": {"configMap": {"name": "code", "key": "handler.txt"}, "class": "C"}},
        "write a key that names a Python file, for example handler.py",
    ),
    "the validator with decoded JSON": (
        {"handler": {"name": "validator"}},
        "decodeJson: the built-in handler validator checks the bytes as they arrived: write decodeJson: false",
    ),
    "the validator fed its own output": (
        {"handler": {"name": "validator"}, "decodeJson": False, "topics": ["telemetry.clean"]},
        "the validator's output topic is telemetry.clean, so it would be fed its own output for ever",
    ),
    "an output that is also a topic": (
        {"topics": ["a"], "output": {"topic": "a"}, "handler": {"class": "a:B"}},
        "output.topic: a is also in topics, so the handler would be fed its own output for ever",
    ),
    "an output of a handler that produces nothing": (
        {"output": {"topic": "out"}},
        "output: the built-in handler logger produces nothing: leave output out",
    ),
    "dead letters consumed again": (
        {"topics": ["telemetry.raw", "telemetry.dlq"]},
        "deadLetter.topic: telemetry.dlq is also in topics, so dead letters would be consumed again",
    ),
    "dead letters turned off and on": (
        {"deadLetter": {"enabled": False, "topic": "x"}},
        "write either topic: NAME or enabled: false, not both",
    ),
    "a dead-letter topic that Kafka can't have": ({"deadLetter": {"topic": "a b"}}, "write one such as telemetry.dlq"),
    "a group id with blanks around it": ({"groupId": " raw "}, "write a group id of printable ASCII characters"),
    "too many replicas": ({"replicas": 1001}, "should be less than or equal to 1000"),
    "fewer replicas than none": ({"replicas": -1}, "should be greater than or equal to 0"),
    "replicas in words": ({"replicas": "three"}, "must be of type integer"),
    "an empty batch": ({"batch": {"maxSize": 0}}, "should be greater than or equal to 1"),
    "a batch that never comes": ({"batch": {"timeoutSeconds": 61}}, "should be less than or equal to 60"),
    "an unknown way to commit": ({"commit": "sometimes"}, "write manual (commits after each batch) or auto"),
    "a place to start from in words": (
        {"startFrom": "yesterday"},
        "write earliest, latest, or a time with its zone, for example 2026-02-20T22:45:00Z",
    ),
    "a time without a zone": ({"startFrom": "2026-02-20T22:45:00"}, "write earliest, latest, or a time with its zone"),
    "no attempt at all": ({"maxAttempts": 0}, "should be greater than or equal to 1"),
    "an image with a blank": ({"image": "my image"}, "write an image's reference without blanks"),
    "a variable that the operator sets": (
        {"env": [{"name": "KAFKA_GROUP_ID", "value": "x"}]},
        "write the field of the spec in place of the variable, for example groupId or batch",
    ),
    "a variable that can't be one": ({"env": [{"name": "a-b", "value": "x"}]}, "letters, digits and '_' only"),
    "a variable with two values": (
        {"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        "write either value or valueFrom, not both",
    ),
    "a variable from nowhere": (
        {"env": [{"name": "A", "valueFrom": {}}]},
        "exactly one of secretKeyRef and configMapKeyRef",
    ),
    "a variable twice": ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1]: Duplicate value"),
    "memory in words": (
        {"resources": {"limits": {"memory": "lots"}}},
        "spec.resources.limits.memory in body should match",
    ),
    "a toleration with a needless value": (
        {"tolerations": [{"operator": "Exists", "key": "k", "value": "v"}]},
        "a toleration with operator: Exists takes no value",
    ),
    "an annotation of ours": (
        {"podAnnotations": {"telemetry.iot-hub.io/config-hash": "x"}},
        "annotations under telemetry.iot-hub.io/ are the operator's own: write another prefix",
    ),
    "a misspelt field": ({"replica": 3}, 'unknown field "spec.replica"'),
}

RIGHT: dict[str, dict[str, Any]] = {
    "the least": {},
    "32 topics": {"topics": [f"telemetry.{n}-x_Y" for n in range(32)]},
    "a class of the image": {"handler": {"class": "a_package.module:A_Class"}},
    "a class at the top": {"handler": {"class": "module:Class"}},
    "a class in a ConfigMap": {
        "handler": {"class": "C", "configMap": CODE, "options": {"limit": 3, "deep": {"a": [1]}}}
    },
    "the validator": {"handler": {"name": "validator"}, "decodeJson": False},
    "the validator with its output": {
        "handler": {"name": "validator"},
        "decodeJson": False,
        "output": {"topic": "telemetry.clean"},
    },
    "no workers": {"replicas": 0},
    "most workers": {"replicas": 1000},
    "one message at a time": {"batch": {"enabled": False}},
    "a long batch": {"batch": {"maxSize": 10000, "timeoutSeconds": 60}},
    "a short batch": {"batch": {"timeoutSeconds": 0.01}},
    "from the end": {"startFrom": "latest"},
    "from a time": {"startFrom": "2026-02-20T22:45:00Z"},
    "from a time elsewhere": {"startFrom": "2026-02-20T22:45:00.123456+05:30"},
    "automatic commits": {"commit": "auto"},
    "no dead letters": {"deadLetter": {"enabled": False}},
    "dead letters consumed on purpose": {"topics": ["telemetry.dlq"], "deadLetter": {"enabled": False}},
    "dead letters of its own": {"deadLetter": {"topic": "my.dlq"}},
    "a group id with all kinds of characters": {"groupId": "team a/raw:1"},
    "paused": {"paused": True},
    "Kafka's password from a Secret": {
        "env": [
            {
                "name": "KAFKA_SASL_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}},
            },
            {"name": "LOG_LEVEL", "value": "DEBUG"},
        ]
    },
    "an image of one's own": {
        "image": "registry.example.com:5000/team/handler@sha256:0000",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": 1}},
    },
    "where it runs": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
        "podAnnotations": {"prometheus.io/scrape": "true"},
    },
}


@pytest.mark.parametrize(("spec", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_refused_with_what_to_write(kubectl: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal) as caught:
        kubectl.apply(manifest("wrong", spec), "--dry-run=server")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("spec", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_taken(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    taken = kubectl.apply(manifest("right", spec), "--dry-run=server")["spec"]
    for field, value in spec.items():
        assert taken[field] == value or (field == "batch" and value.items() <= taken[field].items())


@pytest.mark.parametrize("document", load_examples(), ids=lambda document: document["metadata"]["name"])
def test_the_examples_are_taken(kubectl: Kubectl, document: dict[str, Any]) -> None:
    kubectl.apply(document, "--dry-run=server")


def test_a_name_that_is_no_labels_value_is_refused(kubectl: Kubectl) -> None:
    with pytest.raises(Refusal, match="write a name of at most 63 characters"):
        kubectl.apply(manifest("x" * 64), "--dry-run=server")
    kubectl.apply(manifest("x" * 63), "--dry-run=server")


@pytest.mark.parametrize(("before", "after"), [("one", "two"), ("one", None), (None, "two")])
def test_a_group_is_for_good(kubectl: Kubectl, before: str | None, after: str | None) -> None:
    name = f"group-{before}-{after}".lower()
    kubectl.apply(manifest(name, {"groupId": before, "replicas": 0}))
    with pytest.raises(Refusal, match="groupId can't be changed, since another group would lose this one's place"):
        kubectl.apply(manifest(name, {"groupId": after, "replicas": 0}), "--dry-run=server")
    kubectl.apply(manifest(name, {"groupId": before, "replicas": 2}), "--dry-run=server")


def test_the_documented_defaults_are_written_out(kubectl: Kubectl) -> None:
    assert kubectl.apply(manifest("defaults"), "--dry-run=server")["spec"] == {
        "topics": ["telemetry.raw"],
        "handler": {"name": "logger"},
        "replicas": 1,
        "batch": {"enabled": True, "maxSize": 500, "timeoutSeconds": 1},
        "decodeJson": True,
        "commit": "manual",
        "startFrom": "earliest",
        "maxAttempts": 5,
        "deadLetter": {"topic": "telemetry.dlq"},
        "paused": False,
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }


def test_explain_reads_like_documentation(kubectl: Kubectl) -> None:
    said = kubectl.run("explain", "telemetryconsumer.spec.handler")
    assert "configMap: {name: my-handler, key: handler.py}" in said
    assert "A handler is any Python class" in said
