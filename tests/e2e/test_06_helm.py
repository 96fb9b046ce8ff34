"""What a user of the chart types after the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def test_helm_test_sends_a_message_through(release: Release) -> None:
    assert "Succeeded" in release.kube.helm("test", release.name, "--timeout", "3m")


def test_an_upgrade_with_the_same_values_changes_nothing(release: Release) -> None:
    def generations() -> dict[str, int]:
        kinds = ("deployment", "statefulset", "telemetryconsumer")
        found = [item for kind in kinds for item in release.kube.get_all(kind)]
        return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["generation"] for item in found}

    def accounts() -> list[dict[str, str]]:
        return [release.kube.get("secret", f"{release.name}-mqtt-{of}")["data"] for of in ("auth", "ingestion")]

    before = generations(), accounts()
    release.upgrade()
    assert (generations(), accounts()) == before
