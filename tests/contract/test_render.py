"""``iothub render`` is what a cluster gets: from the operator at work, and with the chart's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.kubectl import Kubectl
from contract.manifests import AFFINITY, SASL
from contract.operator_process import Operator
from contract.samples import manifest
from iothub.manifests.documents import Document, parse_documents
from iothub.manifests.render import build_chart_variables, build_settings, render_documents
from iothub.manifests.yaml_writing import write_yaml
from support.waiting import wait_until
from unit.charts.render import NAMESPACE, render

SPECS: dict[str, dict[str, Any]] = {
    "least": {},
    "paused": {"paused": True, "topics": ["a", "b"], "groupId": "a $(b)"},
    "placed": {
        "handler": {"class": "C", "configMap": {"name": "code", "key": "h.py"}, "options": {"level": "$$"}},
        "env": [{"name": "A", "value": "1"}],
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "podAnnotations": {"example.com/number": "1"},
        "resources": {"limits": {"cpu": 2}},
        "replicas": 2,
    },
    "furnished": {
        **AFFINITY,
        "envFrom": [{"prefix": "A_", "secretRef": {"name": "none"}}],
        "volumes": [
            {"name": "a", "mountPath": "/a", "secret": {"secretName": "none"}},
            {"name": "b", "mountPath": "/b", "persistentVolumeClaim": {"claimName": "none"}},
        ],
        "serviceAccountName": "default",
        "kafka": {"bootstrapServers": "broker:9093", **SASL},
        "delivery": "exactly-once",
    },
}
CODE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code"}, "data": {"h.py": "class C: ...\n"}}


def read(*bodies: dict[str, Any]) -> list[Document]:
    return parse_documents(write_yaml(bodies).encode(), Path("a.yaml"))


@pytest.mark.cluster
@pytest.mark.parametrize("name", SPECS)
def test_applying_it_would_change_nothing_of_what_the_operator_made(
    kubectl: Kubectl, operator: Operator, apply: Callable[..., str], name: str
) -> None:
    """Given a TelemetryConsumer at work, when what is rendered of it is applied, then nothing changes."""
    assert operator.ask("/readyz") == 200
    kubectl.apply(CODE)
    apply(name, SPECS[name])
    wait_until(lambda: kubectl.get("deployment", name) is not None, what="the Deployment")
    settings = build_settings(
        {
            "OPERATOR_WORKER_IMAGE": "iot-hub/worker:there-is-none",
            "OPERATOR_WORKER_IMAGE_PULL_POLICY": "Never",
            "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        }
    )
    body = manifest(name, SPECS[name], namespace=kubectl.namespace)
    config_map = {**CODE, "metadata": {"name": "code", "namespace": kubectl.namespace}}
    (rendered,) = render_documents(read(body, config_map), settings)
    stands = kubectl.get("deployment", name)
    would_stand = kubectl.apply(rendered, "--server-side", "--force-conflicts", "--dry-run=server")
    assert stands is not None
    assert would_stand["spec"] == stands["spec"]
    assert would_stand["metadata"]["labels"] == stands["metadata"]["labels"]


def test_its_settings_are_the_charts() -> None:
    """Given the chart as it is installed by default, then its operator hands on what is rendered here."""
    environment = render(release="hub").pod("Deployment/hub-operator").environment
    for name, value in build_chart_variables("hub", NAMESPACE).items():
        assert environment[name] == value, name
