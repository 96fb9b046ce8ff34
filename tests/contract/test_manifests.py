"""What is said to TelemetryConsumers: the sentence for each wrong one, silence for each right one.

Said by `iothub check`, with no cluster, and by a real API server; and they are compared, sentence by sentence. What the
API server is asked is a server-side dry run; nothing of it stays.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from contract.kubectl import Kubectl, Refusal
from contract.manifests import RIGHT, WRONG
from contract.samples import load_examples, manifest
from iothub.manifests.checks import check_document
from iothub.manifests.defaults import apply_defaults
from iothub.manifests.documents import Document, parse_documents

# The first line of kubectl for one complaint, and each line for several.
_INVALID = re.compile(r'^(?:The \w+ "[^"]*" is invalid: |\* )(?P<complaint>\S.*)$', re.MULTILINE)
_STRICT = re.compile(r'strict decoding error: (?P<fields>unknown field ".*)$', re.MULTILINE)


def read(body: dict[str, Any]) -> Document:
    """The document of a file that holds ``body``."""
    text = json.dumps(body, ensure_ascii=False).replace("\x7f", "\\u007f")
    (document,) = parse_documents(text.encode(), Path("a.yaml"))
    return document


def check(body: dict[str, Any], old: dict[str, Any] | None = None) -> set[str]:
    """What `iothub check` says, as ``field: sentence``."""
    problems = check_document(read(body), old=old)
    return {f"{problem.field}: {problem.sentence}".removeprefix(": ") for problem in problems}


def read_complaints(refusal: str) -> set[str]:
    """What the API server said, as ``field: sentence``.

    Two things are put differently, and only these: a complaint about the whole object, for which Go prints a field
    ``<nil>``, has no field here; and that some rules were not checked is no "Invalid value: null" of anything.
    """
    strict = _STRICT.search(refusal)
    if strict is not None:
        return set(strict["fields"].split(", "))
    found = {match["complaint"].removeprefix("<nil>: ") for match in _INVALID.finditer(refusal)}
    return {complaint.removeprefix("Invalid value: null: ") for complaint in found}


@pytest.mark.parametrize(("spec", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_without_a_cluster(spec: dict[str, Any], sentence: str) -> None:
    assert sentence in ", ".join(sorted(check(manifest("wrong", spec))))


@pytest.mark.parametrize("spec", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_passed_without_a_cluster(spec: dict[str, Any]) -> None:
    assert check(manifest("right", spec)) == set()


@pytest.mark.parametrize("document", load_examples(), ids=lambda document: document["metadata"]["name"])
def test_the_examples_are_passed_without_a_cluster(document: dict[str, Any]) -> None:
    assert check(document) == set()


@pytest.mark.parametrize(("before", "after"), [("one", "two"), ("one", None), (None, "two")])
def test_a_group_is_for_good_without_a_cluster(before: str | None, after: str | None) -> None:
    old = manifest("group", {"groupId": before, "replicas": 0})
    (said,) = check(manifest("group", {"groupId": after, "replicas": 0}), old)
    assert said.startswith('spec: Invalid value: "object": groupId can\'t be changed')
    assert check(manifest("group", {"groupId": before, "replicas": 2}), old) == set()


@pytest.mark.cluster
@pytest.mark.parametrize("spec", [spec for spec, _ in WRONG.values()], ids=WRONG.keys())
def test_it_is_told_as_the_api_server_tells_it(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    body = manifest("wrong", spec)
    with pytest.raises(Refusal) as caught:
        kubectl.apply(body, "--dry-run=server")
    told = check(body)
    if _STRICT.search(str(caught.value)):
        # The API server looks no further once a field is unknown; a person wants to know all.
        told = {sentence for sentence in told if sentence.startswith("unknown field")}
    assert told == read_complaints(str(caught.value))


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("metadata", "spec"),
    [
        ({"name": "x" * 64}, {}),
        ({"name": "Upper_Case"}, {}),
        ({"name": "a", "labels": {"a b": "c d", "e/f/g": "", "/h": "x" * 64}}, {}),
        ({"name": "a", "annotations": {"a b": "c", "A.b/c": "d", "-/x": ""}}, {}),
        ({"name": "a", "lables": {"a": "b"}}, {"replica": 3}),
        ({"name": "Wrong", "labels": {"a": "-"}}, {"replicas": -1}),
    ],
)
def test_metadata_is_judged_as_the_api_server_judges_it(
    kubectl: Kubectl, metadata: dict[str, Any], spec: dict[str, Any]
) -> None:
    body = manifest(spec=spec, **metadata)
    with pytest.raises(Refusal) as caught:
        kubectl.apply(body, "--dry-run=server")
    assert check(body) == read_complaints(str(caught.value))


@pytest.mark.cluster
@pytest.mark.parametrize("spec", RIGHT.values(), ids=RIGHT.keys())
def test_defaults_are_written_out_as_the_api_server_writes_them(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    body = manifest("right", spec)
    assert apply_defaults(read(body).body)["spec"] == kubectl.apply(body, "--dry-run=server")["spec"]


@pytest.mark.cluster
@pytest.mark.parametrize(("spec", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_refused_with_what_to_write(kubectl: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal) as caught:
        kubectl.apply(manifest("wrong", spec), "--dry-run=server")
    assert sentence in str(caught.value)


@pytest.mark.cluster
@pytest.mark.parametrize("spec", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_taken(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    taken = kubectl.apply(manifest("right", spec), "--dry-run=server")["spec"]
    for field, value in spec.items():
        assert taken[field] == value or (field == "batch" and value.items() <= taken[field].items())


@pytest.mark.cluster
@pytest.mark.parametrize("document", load_examples(), ids=lambda document: document["metadata"]["name"])
def test_the_examples_are_taken(kubectl: Kubectl, document: dict[str, Any]) -> None:
    kubectl.apply(document, "--dry-run=server")


@pytest.mark.cluster
def test_a_name_that_is_no_labels_value_is_refused(kubectl: Kubectl) -> None:
    with pytest.raises(Refusal, match="write a name of at most 63 characters"):
        kubectl.apply(manifest("x" * 64), "--dry-run=server")
    kubectl.apply(manifest("x" * 63), "--dry-run=server")


@pytest.mark.cluster
@pytest.mark.parametrize(("before", "after"), [("one", "two"), ("one", None), (None, "two")])
def test_a_group_is_for_good(kubectl: Kubectl, before: str | None, after: str | None) -> None:
    name = f"group-{before}-{after}".lower()
    kubectl.apply(manifest(name, {"groupId": before, "replicas": 0}))
    with pytest.raises(Refusal, match="groupId can't be changed, since another group would lose this one's place"):
        kubectl.apply(manifest(name, {"groupId": after, "replicas": 0}), "--dry-run=server")
    kubectl.apply(manifest(name, {"groupId": before, "replicas": 2}), "--dry-run=server")


@pytest.mark.cluster
def test_the_documented_defaults_are_written_out(kubectl: Kubectl) -> None:
    assert kubectl.apply(manifest("defaults"), "--dry-run=server")["spec"] == {
        "topics": ["telemetry.raw"],
        "handler": {"name": "logger"},
        "replicas": 1,
        "batch": {"enabled": True, "maxSize": 500, "timeoutSeconds": 1},
        "decodeJson": True,
        "commit": "manual",
        "delivery": "at-least-once",
        "handleLimitSeconds": 900,
        "startFrom": "earliest",
        "maxAttempts": 5,
        "deadLetter": {"topic": "telemetry.dlq"},
        "paused": False,
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
    }


@pytest.mark.cluster
def test_explain_reads_like_documentation(kubectl: Kubectl) -> None:
    said = kubectl.run("explain", "telemetryconsumer.spec.handler")
    assert "configMap: {name: my-handler, key: handler.py}" in said
    assert "A handler is any Python class" in said
