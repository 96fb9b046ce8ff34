"""The cluster of KUBECONFIG for the tests marked ``cluster``: whether it is there, its CRD, namespaces, kubeconfigs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from contract.kubectl import Kubectl
from support import require

ROOT = Path(__file__).parents[2]


def find_cluster() -> str:
    """Return the kubeconfig; without a cluster the test is skipped, or fails where nothing may be skipped."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig or not Path(kubeconfig).exists():
        require.missing("a Kubernetes cluster", "name one in KUBECONFIG, for example after `make kind-up`")
    if shutil.which("kubectl") is None:
        require.missing("kubectl", "install it: https://kubernetes.io/docs/tasks/tools/")
    return kubeconfig


def apply_crds(kubeconfig: str) -> None:
    """Bring the CRD to what the repository has, the way an upgrade takes: the chart's hook runs the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "telemetry_operator", "--apply-crds", str(ROOT / "crds")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": kubeconfig},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def make_namespace(prefix: str, kubeconfig: str) -> Kubectl:
    """Return kubectl in a new namespace."""
    namespaced = Kubectl(f"{prefix}-{uuid.uuid4().hex[:8]}", kubeconfig)
    namespaced.run("create", "namespace", namespaced.namespace)
    return namespaced


def find_api_server(kubectl: Kubectl) -> tuple[str, int]:
    """Return host and port of the API server."""
    config = yaml.safe_load(kubectl.run("config", "view", "--minify"))
    address = urlsplit(config["clusters"][0]["cluster"]["server"])
    assert address.hostname is not None
    return address.hostname, address.port or 443


def write_kubeconfig(kubectl: Kubectl, account: str, path: Path, *, through_port: int | None = None) -> Path:
    """Write a kubeconfig for a service account of the namespace and return ``path``.

    ``through_port`` is that of a proxy on this machine. The server's certificate may know nothing of such an address,
    so on that way nobody looks at it.
    """
    config = yaml.safe_load(kubectl.run("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": kubectl.run("create", "token", account, "--duration=6h").strip()}
    if through_port is not None:
        server = f"https://127.0.0.1:{through_port}"
        config["clusters"][0]["cluster"] = {"server": server, "insecure-skip-tls-verify": True}
    path.write_text(yaml.safe_dump(config))
    return path
