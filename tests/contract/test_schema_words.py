"""What a schema may say that ours does not say yet: in our words and in the API server's, over a CRD of the test's own.

A field that joins the TelemetryConsumer tomorrow is checked today.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from contract.kubectl import Kubectl, Refusal
from contract.test_manifests import read_complaints
from iothub.manifests.admission import review_object
from iothub.manifests.crd import Crd
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.yaml_reading import read_yaml
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

TEXT = {"type": "string", "maxLength": 64}
RULE = "x-kubernetes-validations"
FIELDS: dict[str, Any] = {
    "exclusive": {"type": "number", "minimum": 1, "exclusiveMinimum": True, "maximum": 2.5, "exclusiveMaximum": True},
    "half": {"type": "number", "multipleOf": 0.5},
    "third": {"type": "integer", "multipleOf": 3},
    "moment": {"type": "string", "format": "date-time"},
    "unknownFormat": {"type": "string", "format": "whatever"},
    "few": {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
    "either": {"type": "integer", "oneOf": [{"minimum": 10}, {"maximum": 5}, {"multipleOf": 7}]},
    "all": {"type": "integer", "allOf": [{"minimum": 10}, {"maximum": 20}]},
    "any": {"type": "string", "anyOf": [{"pattern": "^a"}, {"minLength": 4}]},
    "not": {"type": "string", "not": {"pattern": "x$"}},
    "numbers": {"type": "number", "enum": [1, 2.5]},
    "nullable": {"type": "string", "nullable": True},
    "intOrString": {"x-kubernetes-int-or-string": True},
    "one": {"type": "array", "maxItems": 1, "items": TEXT},
    "letter": {"type": "string", "maxLength": 1},
    "set": {"type": "array", "maxItems": 9, "items": {"type": "integer"}, "x-kubernetes-list-type": "set"},
    "keyed": {
        "type": "array",
        "maxItems": 9,
        "items": {"type": "object", "required": ["a", "b"], "properties": {"a": TEXT, "b": {"type": "integer"}}},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["a", "b"],
    },
    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"n": {"type": "integer"}}},
    "withDefaults": {
        "type": "array",
        "maxItems": 9,
        "items": {"type": "object", "properties": {"a": {"type": "integer", "default": 3}, "b": TEXT}},
    },
    "forbidden": {**TEXT, RULE: [{"rule": "self != 'no'", "reason": "FieldValueForbidden", "message": " not that "}]},
    "required": {**TEXT, RULE: [{"rule": "self != ''", "reason": "FieldValueRequired", "message": "write it"}]},
    "silent": {
        **TEXT,
        RULE: [{"rule": "self.startsWith('a')"}, {"rule": "size(self) < 4", "message": "short, please"}],
    },
    "inside": {
        "type": "object",
        "properties": {"deep": TEXT},
        RULE: [{"rule": "has(self.deep)", "fieldPath": ".deep"}],
    },
    "told": {
        **TEXT,
        RULE: [{"rule": "self.contains('a')", "messageExpression": "'no a in ' + self", "message": "no a"}],
    },
    "mapped": {"type": "object", "maxProperties": 3, "additionalProperties": {**TEXT, RULE: [{"rule": "self == 'a'"}]}},
    "double": {"type": "number", RULE: [{"rule": "self * 2.0 < 5.0", "message": "less"}]},
}

WRONG: list[dict[str, Any]] = [
    {"exclusive": 1},
    {"exclusive": 2.5},
    {"exclusive": 2},
    {"exclusive": 12345678.25},
    {"exclusive": 1e-7},
    {"half": 0.75},
    {"half": 1},
    {"third": 4},
    {"third": 9007199254740992},
    {"moment": "yesterday"},
    {"moment": "2026-02-30T00:00:00Z"},
    {"moment": 5},
    {"moment": 5.5},
    {"moment": True},
    {"unknownFormat": 3},
    {"few": {"a": 1}},
    {"few": {"a": "x", "b": None}},
    {"few": {"a.b": "x", "c": 2.5}},
    {"either": 3, "few": {}},
    {"either": 14},
    {"either": 8},
    {"all": 30},
    {"all": 3},
    {"any": "b"},
    {"not": "x"},
    {"numbers": 3},
    {"numbers": "x"},
    {"nullable": 3},
    {"intOrString": 1.5},
    {"intOrString": []},
    {"one": ["a", "b"]},
    {"letter": "éé"},
    {"set": [1, 2, 1, 1]},
    {"keyed": [{"a": "x", "b": 1}, {"a": "x", "b": 2}, {"b": 1, "a": "x"}]},
    {"keyed": [{"a": "x"}, {"b": 1}, {"a": "x"}]},
    {"open": {"n": "x", "anything": [1]}},
    {"withDefaults": [{"a": "x"}, {"b": 1}]},
    {"forbidden": "no"},
    {"required": ""},
    {"silent": "bbbbb"},
    {"silent": "ééé"},
    {"inside": {}},
    {"told": 'b"\u2028'},
    {"mapped": {"x.y": "b", "z": "a"}},
    {"double": 3},
    {"double": 2.5, "silent": "b", "forbidden": "no"},
    {"misspelt": 1, "keyed": [{"a": "x", "b": 1, "c": {}}], "open": {"what": {"ever": 1}}},
    {"set": "a", "one": {}, "few": [], "third": "x", "half": True, "letter": 1.5},
]
RIGHT: list[dict[str, Any]] = [
    {"moment": []},
    {"exclusive": 1.5, "half": 1.5, "third": -9, "moment": "2026-02-20T22:45:00.5+01:00", "unknownFormat": "x"},
    {"few": {"a": 1, "b": 2}, "either": 12, "all": 10, "any": "a", "not": "xy", "numbers": 1, "nullable": "x"},
    {"intOrString": "x", "one": [], "letter": "é", "set": [1, 2], "open": {"what": {"ever": []}}},
    {"withDefaults": [{}, {"b": "x"}, {"a": None, "b": None}], "told": "a", "double": 1, "mapped": {"b": "a"}},
    {"keyed": [{"a": "x", "b": 1}, {"a": "x", "b": 2}], "silent": "aéé", "numbers": 2.5},
]


@pytest.fixture(scope="module")
def crd(kubectl: Kubectl) -> Iterator[Crd]:
    """A kind of the test's own, on the cluster; it goes at the end."""
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": FIELDS}}}
    plural = f"words{uuid.uuid4().hex[:8]}"
    crd = Crd("test.iot-hub.io/v1", plural.capitalize(), schema, ("spec", "replicas"))
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": crd.kind, "plural": plural, "singular": plural}
    kubectl.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.test.iot-hub.io"},
            "spec": {"group": "test.iot-hub.io", "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )
    kubectl.run("wait", "--for=condition=Established", f"crd/{plural}.test.iot-hub.io", "--timeout=30s")
    wait_until(lambda: plural in kubectl.run("api-resources", "--api-group=test.iot-hub.io"), what="the kind")
    yield crd
    kubectl.run("delete", "crd", f"{plural}.test.iot-hub.io", "--wait=false")


def make(crd: Crd, spec: dict[str, Any]) -> dict[str, Any]:
    body = {"apiVersion": crd.api_version, "kind": crd.kind, "metadata": {"name": "a"}, "spec": spec}
    (read,) = read_yaml(json.dumps(body).encode())
    return dict(read.value)


@pytest.mark.parametrize("spec", WRONG, ids=json.dumps)
def test_the_words_are_the_api_servers(kubectl: Kubectl, crd: Crd, spec: dict[str, Any]) -> None:
    body = make(crd, spec)
    with pytest.raises(Refusal) as caught:
        kubectl.apply(body, "--dry-run=server")
    said = {f"{one.field}: {one.sentence}".removeprefix(": ") for one in review_object(body, crd, "default")}
    complaints = read_complaints(str(caught.value))
    if all(complaint.startswith("unknown field") for complaint in complaints):
        said = {one for one in said if one.startswith("unknown field")}
    assert said == complaints


@pytest.mark.parametrize("spec", RIGHT, ids=json.dumps)
def test_what_it_takes_it_keeps_as_we_do(kubectl: Kubectl, crd: Crd, spec: dict[str, Any]) -> None:
    body = make(crd, spec)
    assert review_object(body, crd, "default") == []
    assert apply_defaults(body, crd.schema)["spec"] == kubectl.apply(body, "--dry-run=server")["spec"]
