"""What worker, ingester and operator need while nothing happens: measured before the other tests load them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

# One file in a cgroup of version 2, another in one of version 1; inside a container its own group is the root of both.
CGROUP_FILES = "/sys/fs/cgroup/memory.current /sys/fs/cgroup/memory/memory.usage_in_bytes"


@pytest.mark.parametrize("part", ["validator", "ingestion", "operator"])
def test_idle_memory(release: Release, part: str) -> None:
    pod = release.pod_of(part)
    resident = release.kube.exec(pod, "sh", "-c", "grep VmRSS /proc/1/status").split()[1]
    charged = release.kube.exec(pod, "sh", "-c", f"cat {CGROUP_FILES} 2>/dev/null || true").split()
    of_pod = f", {int(charged[0]) / 2**20:.0f} MiB in its cgroup" if charged else ""
    release.facts.append(f"idle {part}: {int(resident) / 1024:.0f} MiB resident{of_pod}")
    assert int(resident) < 160 * 1024
