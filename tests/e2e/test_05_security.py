"""What the pods may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.release import TOOLBOX

if TYPE_CHECKING:
    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def test_the_namespace_enforces_the_restricted_standard_on_every_pod(release: Release) -> None:
    labels = release.kube.get("namespace", release.kube.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for event in release.kube.get_all("events"):
        assert "violates PodSecurity" not in event.get("message", ""), event["message"]


def test_every_container_is_read_only_and_without_a_needless_token(release: Release) -> None:
    pods = [pod for pod in release.kube.get_all("pods") if pod["metadata"]["name"] != TOOLBOX]
    assert pods
    for pod in pods:
        name, spec = pod["metadata"]["name"], pod["spec"]
        assert spec["enableServiceLinks"] is False, name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, f"{name}: {container['name']}"
        if name != release.pod_of("operator"):
            assert spec["automountServiceAccountToken"] is False, name
