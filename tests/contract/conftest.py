"""A namespace of their own on a real API server, for the tests marked ``cluster``; the CRD as the repository has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from contract.kubectl import Kubectl
from contract.operator_process import RULES, Operator
from contract.samples import manifest
from support import require

ROOT = Path(__file__).parents[2]


def _find_cluster() -> str:
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig or not Path(kubeconfig).exists():
        require.missing("a Kubernetes cluster", "name one in KUBECONFIG, for example after `make kind-up`")
    if shutil.which("kubectl") is None:
        require.missing("kubectl", "install it: https://kubernetes.io/docs/tasks/tools/")
    return kubeconfig


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    """kubectl in a new namespace, on a cluster that has the CRD; the namespace goes at the end."""
    kubeconfig = _find_cluster()
    # The way an upgrade takes: the chart's hook runs the same command.
    done = subprocess.run(
        [sys.executable, "-m", "telemetry_operator", "--apply-crds", str(ROOT / "crds")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": kubeconfig},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    namespaced = Kubectl(f"contract-{uuid.uuid4().hex[:8]}", kubeconfig)
    namespaced.run("create", "namespace", namespaced.namespace)
    yield namespaced
    namespaced.run("delete", "namespace", namespaced.namespace, "--wait=false")


@pytest.fixture(scope="session")
def kubeconfig(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kubeconfig of a service account that has exactly the operator's Role."""
    kubectl.run("create", "serviceaccount", "operator")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "operator"},
        "rules": RULES,
    }
    kubectl.apply(role)
    kubectl.run(
        "create", "rolebinding", "operator", "--role=operator", f"--serviceaccount={kubectl.namespace}:operator"
    )
    config = yaml.safe_load(kubectl.run("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": kubectl.run("create", "token", "operator").strip()}
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


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
