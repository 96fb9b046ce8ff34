"""``--apply-crds DIR``: brings the CRDs up to date before an upgrade, which Helm never does by itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import structlog
import yaml

from telemetry_operator import naming
from telemetry_operator.api import CRDS, ClusterApi, Manifest
from telemetry_operator.errors import SettingsError, Unavailable

ESTABLISHED_SECONDS = 30.0
"""How long the API server may take until it serves an applied CRD."""

log = structlog.get_logger(__name__)


def load_crds(directory: Path) -> list[Manifest]:
    """Return the CRDs in the YAML files of ``directory``.

    Raises SettingsError where there is none, or something else is among them.
    """
    manifests: list[Manifest] = []
    for path in sorted(directory.glob("*.y*ml")):
        try:
            documents = [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise SettingsError(f"--apply-crds: {path} can't be read: {error}") from error
        for document in documents:
            if not isinstance(document, dict) or document.get("kind") != "CustomResourceDefinition":
                raise SettingsError(f"--apply-crds: {path} holds something that is no CustomResourceDefinition")
            manifests.append(document)
    if not manifests:
        raise SettingsError(f"--apply-crds: no CustomResourceDefinition is in {directory}")
    return manifests


async def apply_crds(cluster: ClusterApi, manifests: list[Manifest]) -> None:
    """Apply ``manifests`` server-side and return once the API server serves them. Raises ClusterError."""
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        # Helm made them at the install and holds their fields; from here on they are ours.
        await cluster.apply(CRDS, manifest, force=True, manager=naming.CRD_FIELD_MANAGER)
        await _wait_until_served(cluster, name)
        log.info("CRD applied", crd=name)


async def _wait_until_served(cluster: ClusterApi, name: str) -> None:
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while True:
        body = await cluster.read(CRDS, None, name) or {}
        conditions = {c["type"]: c for c in (body.get("status") or {}).get("conditions") or ()}
        if conditions.get("Established", {}).get("status") == "True":
            return
        if time.monotonic() > deadline:
            refused = conditions.get("NamesAccepted", {}).get("message", "")
            raise Unavailable(f"CRD {name} is applied, but not served after {ESTABLISHED_SECONDS:.0f} s: {refused}")
        await asyncio.sleep(0.2)
