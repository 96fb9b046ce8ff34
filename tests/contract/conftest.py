"""A namespace of their own on a real API server, for the tests marked ``cluster``; the CRD as the repository has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.cluster import apply_crds, find_cluster, make_namespace, write_kubeconfig
from contract.kubectl import Kubectl
from contract.operator_process import Operator
from contract.rights import ACCOUNT, grant
from contract.samples import manifest


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """kubectl in a new namespace, on a cluster that has the CRD; the namespace goes at the end."""
    kubeconfig = find_cluster()
    apply_crds(kubeconfig)
    namespaced = make_namespace("contract", kubeconfig)
    yield namespaced
    namespaced.run("delete", "namespace", namespaced.namespace, "--wait=false")


@pytest.fixture(scope="session")
def kubeconfig(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of a service account that has exactly the rights which the chart gives the operator."""
    grant(kubectl)
    return write_kubeconfig(kubectl, ACCOUNT, tmp_path_factory.mktemp("operator") / "kubeconfig")


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, kubeconfig: Path) -> Iterator[Operator]:
    """One operator for the tests of a module, serving their namespace alone. Whoever stops it starts it again."""
    running = Operator(kubectl, kubeconfig, kubeconfig.parent / "operator.log")
    running.start()
    yield running
    running.process.stop()


@pytest.fixture
def apply(kubectl: Kubectl) -> Iterator[Callable[..., str]]:
    """Apply a TelemetryConsumer and return its name; it goes at the end of the test."""
    made: list[str] = []

    def apply(name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> str:
        made.append(name)
        kubectl.apply(manifest(name, spec, **metadata))
        return name

    yield apply
    for name in set(made):
        kubectl.run("delete", "telemetryconsumer", name, "--ignore-not-found", "--wait=false")
