"""What the operator would make of manifests: held to its own builders."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.samples import ROOT
from iothub.errors import ManifestProblem, UsageError
from iothub.manifests.checks import parse_document
from iothub.manifests.documents import load_documents
from iothub.manifests.render import build_settings, render_documents
from telemetry_operator.naming import ANNOTATION_HANDLER_HASH
from telemetry_operator.objects.deployment import build_deployment, build_worker_defaults, compute_hash
from unit.iothub.manifests.files import HEAD, consumer, parse

LEAST = "spec: {topics: [a], handler: {name: logger}}\n"
FROM_FILE = "spec: {topics: [a], handler: {class: C, configMap: {name: code, key: handler.py}}}\n"


def test_it_is_what_the_operator_builds() -> None:
    settings = build_settings({})
    documents = load_documents([ROOT / "examples"])
    for document, rendered in zip(documents, render_documents(documents, settings), strict=True):
        source = parse_document(document).spec.handler.config_map
        digest = compute_hash((document.path.parent / source.key).read_text()) if source is not None else None
        built = build_deployment(parse_document(document), build_worker_defaults(settings), digest)
        del built["metadata"]["ownerReferences"]
        assert rendered == built
        assert list(rendered) == ["apiVersion", "kind", "metadata", "spec"]


def test_a_handlers_other_content_has_another_hash() -> None:
    def hash_of(content: str) -> str:
        config_map = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: code}}\ndata: {{handler.py: {content}}}\n"
        (rendered,) = render_documents(parse(f"{HEAD}{FROM_FILE}---\n{config_map}"), build_settings({}))
        found: str = rendered["spec"]["template"]["metadata"]["annotations"][ANNOTATION_HANDLER_HASH]
        return found

    assert hash_of("one") == hash_of("one") == compute_hash("one") != hash_of("two")


def test_what_the_operator_would_wait_for_is_refused_in_its_words() -> None:
    with pytest.raises(ManifestProblem) as caught:
        render_documents([consumer(FROM_FILE)], build_settings({}))
    assert str(caught.value) == (
        "a.yaml:1: ConfigMap code with the key handler.py is not in namespace default: make it, for example with "
        "kubectl create configmap code --from-file=handler.py"
    )


def test_one_that_has_a_uid_owns_its_deployment() -> None:
    (document,) = parse(HEAD.replace("name: a", "name: a, uid: u-1, namespace: plant, generation: 7") + LEAST)
    (rendered,) = render_documents([document], build_settings({}))
    assert rendered["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert rendered["metadata"]["namespace"] == "plant"
    assert set(rendered["metadata"]) == {"name", "namespace", "labels", "ownerReferences"}


def test_a_status_that_comes_along_changes_nothing() -> None:
    plain, with_status = consumer(LEAST), consumer(LEAST + "status: {conditions: [], replicas: 3}\n")
    settings = build_settings({})
    assert render_documents([plain], settings) == render_documents([with_status], settings)


def test_the_settings_are_the_operators() -> None:
    settings = build_settings(
        {
            "OPERATOR_WORKER_IMAGE": "mine:1",
            "KAFKA_BOOTSTRAP_SERVERS": "k:1",
            "OPERATOR_WORKER_IMAGE_PULL_SECRETS": "a,b",
        }
    )
    (rendered,) = render_documents([consumer(LEAST)], settings)
    pod = rendered["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == pod["initContainers"][0]["image"] == "mine:1"
    assert {"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "k:1"} in pod["containers"][0]["env"]
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]


def test_settings_that_can_not_be_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^OPERATOR_WORKER_IMAGE: must hold no blanks"):
        build_settings({"OPERATOR_WORKER_IMAGE": "a b"})


def test_other_kinds_alone_give_nothing() -> None:
    assert render_documents(parse("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"), build_settings({})) == []


def test_paths_are_those_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"# a comment\n{HEAD}{FROM_FILE}")
    with pytest.raises(ManifestProblem, match=rf"^{path}:2: ConfigMap code"):
        render_documents(load_documents([path]), build_settings({}))


def test_autoscaling_brings_what_keda_is_given() -> None:
    kafka = "{securityProtocol: SSL, secretRef: {name: s}}"
    spec = f"spec: {{topics: [a], handler: {{name: logger}}, autoscaling: {{maxReplicas: 3}}, kafka: {kafka}}}\n"
    rendered = render_documents([consumer(spec)], build_settings({}))
    assert [made["kind"] for made in rendered] == ["Deployment", "TriggerAuthentication", "ScaledObject"]
    assert rendered[2]["spec"]["maxReplicaCount"] == 3
    for made in rendered:
        assert set(made["metadata"]) == {"name", "namespace", "labels"}
