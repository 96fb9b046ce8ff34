"""What is said to one manifest, with its line. The sentences of the schema and the rules: tests/contract."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.manifests import RIGHT, WRONG
from contract.samples import manifest
from iothub.manifests.checks import check_document, parse_document
from iothub.manifests.crd import load_crd
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import Document
from telemetry_operator.errors import SpecError
from unit.iothub.manifests.files import PATH, consumer, parse, told

LEAST = "spec:\n  topics: [a]\n  handler: {name: logger}\n"


def test_each_problem_has_the_line_of_its_field() -> None:
    document = consumer(
        """\
        spec:
          topics: [a, a]
          handler:
            name: loger
          replicas: 2000
          batch:
            maxSize: 0
        """
    )
    assert [problem.split(" ")[:2] for problem in told(document)] == [
        ["a.yaml:8:", "spec.replicas:"],
        ["a.yaml:10:", "spec.batch.maxSize:"],
        ["a.yaml:5:", "spec.topics[1]:"],
        ["a.yaml:7:", "spec.handler.name:"],
    ]


def test_a_field_that_is_missing_is_told_where_it_should_stand() -> None:
    assert told(consumer("spec:\n  topics: [a]\n"))[0] == "a.yaml:4: spec.handler: Required value"


def test_unquoted_times_and_words_are_what_kubectl_sends() -> None:
    assert told(consumer(LEAST + "  startFrom: 2026-02-20T22:45:00Z\n")) == []
    (problem, _) = told(consumer(LEAST + "  commit: on\n"))
    assert problem == (
        'a.yaml:7: spec.commit: Invalid value: "boolean": spec.commit in body must be of type string: "boolean"'
    )


def test_what_no_schema_can_say_is_said_by_the_operator() -> None:
    """Given two fields that the API server takes, when the operator can't work with them, then both are told."""
    spec = "spec:\n  topics: [a]\n  handler: {name: logger, options: {class: 1}}\n  startFrom: 2026-02-30T22:45:00Z\n"
    problems = told(consumer(spec))
    assert len(problems) == 2
    assert "a.yaml:6: spec.handler.options: 'class' can't be a keyword argument of a Python class" in problems[0]
    assert "a.yaml:7: spec.startFrom: '2026-02-30T22:45:00Z' is no time that ever was" in problems[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "apiVersion: telemetry.iot-hub.io/v1alpha1\nkind: TelemetryConsumr\n",
            'a.yaml:2: kind: no matches for kind "TelemetryConsumr" in version "telemetry.iot-hub.io/v1alpha1": '
            "write apiVersion: telemetry.iot-hub.io/v1alpha1 and kind: TelemetryConsumer",
        ),
        (
            "apiVersion: telemetry.iot-hub.io/v1\nkind: TelemetryConsumer\n",
            'a.yaml:1: apiVersion: no matches for kind "TelemetryConsumer" in version "telemetry.iot-hub.io/v1": '
            "write apiVersion: telemetry.iot-hub.io/v1alpha1 and kind: TelemetryConsumer",
        ),
        (
            "kind: TelemetryConsumer\n",
            "a.yaml:1: apiVersion: Required value: "
            "write apiVersion: telemetry.iot-hub.io/v1alpha1 and kind: TelemetryConsumer",
        ),
        (
            "apiVersion: 1\nkind: TelemetryConsumer\n",
            'a.yaml:1: apiVersion: Invalid value: "integer": apiVersion in body must be of type string: "integer"',
        ),
        (
            "apiVersion: telemetry.iot-hub.io/v1alpha1\nkind: TelemetryConsumer\nmetadata: [a]\n",
            'a.yaml:3: metadata: Invalid value: "array": metadata in body must be of type object: "array"',
        ),
    ],
)
def test_a_kind_that_is_none_is_told_alone(text: str, sentence: str) -> None:
    (document,) = parse(text)
    assert told(document) == [sentence]


def test_a_nameless_one_is_told() -> None:
    (document,) = parse("apiVersion: telemetry.iot-hub.io/v1alpha1\nkind: TelemetryConsumer\n" + LEAST)
    assert told(document) == [
        "a.yaml:1: metadata.name: Required value: name or generateName is required",
        "a.yaml:1: warning: some validation rules were not checked because the object was invalid; "
        "correct the existing errors to complete validation",
    ]


def test_the_status_is_the_operators_own() -> None:
    assert told(consumer(LEAST + "status: {replicas: -5, conditions: 3}\n")) == []


def test_nulls_mean_nothing_where_a_field_can_not_be_null() -> None:
    assert told(consumer(LEAST + "  groupId:\n  commit: ~\n  nodeSelector: {a: null}\n")) == []
    assert apply_defaults(consumer(LEAST + "  groupId:\n  commit: ~\n").body)["spec"]["commit"] == "manual"


def test_defaults_leave_the_given_object_alone() -> None:
    body = manifest("a", {"batch": {"maxSize": 3}})
    before = copy.deepcopy(body)
    applied = apply_defaults(body)
    assert body == before
    assert applied["spec"]["batch"] == {"maxSize": 3, "enabled": True, "timeoutSeconds": 1}
    applied["spec"]["deadLetter"]["topic"] = "other"
    assert apply_defaults(body)["spec"]["deadLetter"] == {"topic": "telemetry.dlq"}, "the CRD's own is not handed out"


def test_no_rule_of_the_crd_is_beyond_us() -> None:
    """Given objects that reach every rule, then none is passed with the word that it could not be evaluated."""
    bodies = [manifest("a", spec) for spec in [*RIGHT.values(), *(spec for spec, _ in WRONG.values())]]
    said = [str(problem) for body in bodies for problem in check_document(Document(PATH, 1, body), old=body)]
    assert not [sentence for sentence in said if "could not be evaluated" in sentence]


# --- any spec ---

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "a", "a b", ".", "earliest", "validator", "2026-02-31T00:00:00Z", "telemetry.dlq", "é" * 300]
    )
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "name", "key", "topic"]), inner),
    max_leaves=5,
)


def _names(schema: Any) -> set[str]:
    own = dict(schema.get("properties", {}))
    below = [*own.values(), *(schema[key] for key in ("items", "additionalProperties") if key in schema)]
    return set(own).union(*(_names(one) for one in below))


FIELDS = [*sorted(_names(load_crd().schema["properties"]["spec"])), "misspelt"]


@st.composite
def near_right(draw: st.DrawFn) -> dict[str, Any]:
    """A spec that is right, with some values of it changed, left out, or added."""
    spec: dict[str, Any] = copy.deepcopy(
        draw(st.sampled_from([{**manifest("a", one)["spec"]} for one in RIGHT.values()]))
    )
    for _ in range(draw(st.integers(0, 3))):
        body: Any = spec
        while True:
            keys = list(body) if isinstance(body, dict) else list(range(len(body)))
            if isinstance(body, dict) and (not keys or draw(st.integers(0, 3)) == 0):
                body[draw(st.sampled_from(FIELDS))] = draw(junk)
                break
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(body[key], dict | list) and body[key] and draw(st.booleans()):
                body = body[key]
                continue
            if draw(st.booleans()):
                body[key] = draw(junk)
            else:
                del body[key]
            break
    return spec


@given(spec=near_right(), old=st.none() | near_right())
def test_any_spec_is_judged_and_what_passes_the_operator_takes(
    spec: dict[str, Any], old: dict[str, Any] | None
) -> None:
    """Given any spec, then the check comes to an end without an error, and what it passes can be built on."""
    body = {"apiVersion": load_crd().api_version, "kind": load_crd().kind, "metadata": {"name": "a"}, "spec": spec}
    document = Document(Path("a.yaml"), 1, body)
    before = copy.deepcopy(body)
    problems = check_document(document, old={**body, "spec": old} if old is not None else None)
    assert body == before, "a check changes nothing"
    if not any(not problem.warning for problem in problems):
        assert parse_document(document).spec.topics
    elif all(problem.field.startswith("spec.") for problem in problems if not problem.warning):
        assert problems


@given(body=st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "x"]), junk))
def test_any_object_at_all_is_judged(body: dict[str, Any]) -> None:
    check_document(Document(PATH, 1, body))
    check_document(Document(PATH, 1, {**body, "apiVersion": load_crd().api_version, "kind": load_crd().kind}))


def test_a_document_that_is_wrong_is_refused_by_parsing_too() -> None:
    with pytest.raises(SpecError, match=r"spec\.topics"):
        parse_document(consumer("spec:\n  topics: []\n  handler: {name: logger}\n"))
