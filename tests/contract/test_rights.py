"""What the operator's account may do, and what not: the API server's own word on the chart's Role."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest

from contract.kubectl import Kubectl
from contract.rights import ACCOUNT, list_rights

pytestmark = pytest.mark.cluster

Right = tuple[str, str, str]
"""Verb, group, resource with its subresource."""

READING = ("get", "list", "watch")
WRITING = ("create", "update", "patch", "delete", "deletecollection")
OURS = "telemetry.iot-hub.io"
NEVER: set[Right] = {
    *((verb, "", "secrets") for verb in (*READING, *WRITING)),
    *((verb, "", "pods") for verb in ("get", *WRITING)),
    *(("create", "", f"pods/{way}") for way in ("exec", "attach", "portforward", "eviction")),
    ("get", "", "pods/log"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "serviceaccounts"),
    *((verb, "", "configmaps") for verb in ("list", "watch", *WRITING)),
    *((verb, "apps", "deployments") for verb in ("update", "delete", "deletecollection")),
    *((verb, "apps", kind) for verb in WRITING for kind in ("statefulsets", "daemonsets", "replicasets")),
    *((verb, OURS, "telemetryconsumers") for verb in ("get", *WRITING)),
    ("update", OURS, "telemetryconsumers/status"),
    *((verb, "rbac.authorization.k8s.io", kind) for verb in WRITING for kind in ("roles", "rolebindings")),
    *((verb, "apiextensions.k8s.io", "customresourcedefinitions") for verb in (*READING, *WRITING)),
    *((verb, "", kind) for verb in (*READING, *WRITING) for kind in ("nodes", "namespaces")),
    ("*", "*", "*"),
}


@pytest.fixture(scope="module")
def account(kubectl: Kubectl, kubeconfig: object) -> str:
    """The account's name, as the API server calls it; the fixture ``kubeconfig`` has granted it its rights."""
    return f"system:serviceaccount:{kubectl.namespace}:{ACCOUNT}"


def ask(kubectl: Kubectl, account: str, rights: Iterable[Right], namespace: str) -> Iterator[tuple[Right, bool]]:
    """Ask what ``kubectl auth can-i`` asks, everything at once."""
    asked = sorted(rights)
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": account,
                "groups": ["system:serviceaccounts", "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb,
                    "group": group,
                    "resource": resource.partition("/")[0],
                    "subresource": resource.partition("/")[2],
                    "namespace": namespace,
                },
            },
        }
        for verb, group, resource in asked
    ]
    several = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    answers = kubectl.run("create", "-o", "jsonpath={.status.allowed}{' '}", "-f", "-", stdin=several).split()
    return zip(asked, (answer == "true" for answer in answers), strict=True)


def test_it_may_do_what_the_chart_says(kubectl: Kubectl, account: str) -> None:
    rights = list_rights()
    assert rights
    assert dict(ask(kubectl, account, rights, kubectl.namespace)) == dict.fromkeys(rights, True)


def test_it_may_do_nothing_more(kubectl: Kubectl, account: str) -> None:
    never = NEVER - list_rights()
    assert never == NEVER, "the chart gives what it never should"
    assert dict(ask(kubectl, account, never, kubectl.namespace)) == dict.fromkeys(never, False)


def test_it_may_do_nothing_in_another_namespace(kubectl: Kubectl, account: str) -> None:
    rights = list_rights()
    assert dict(ask(kubectl, account, rights, "kube-system")) == dict.fromkeys(rights, False)
