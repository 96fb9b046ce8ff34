"""With KEDA a group's workers follow its lag: they come when it rises and go when it is gone, and no message is lost or
handled twice for it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from e2e.readings import build_good, differences
from e2e.release import RAW
from support.keda import find_keda
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.readings import Reading
    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAME = "scaled-by-keda"
OUTPUT = "e2e.scaled"
MOST = 3
MESSAGES = 6_000
# Fifty a second for each worker: one would need two minutes.
HANDLER = """
import time

from consumers import Outgoing

class Slow:
    wants_records = True

    def handle(self, batch):
        for record in batch:
            time.sleep(0.02)
            yield Outgoing(value=record.value, key=record.key, headers=record.headers)
"""


@pytest.fixture(scope="module")
def keda(release: Release) -> None:
    """KEDA's kinds are there."""
    if not find_keda(release.kube.run):
        pytest.skip("this cluster has no KEDA (https://keda.sh)")


@pytest.fixture(scope="module")
def consumer(release: Release, keda: None) -> Iterator[str]:
    """A slow consumer of the raw topic, from here on, that KEDA scales; ready."""
    kube = release.kube
    release.tool("create-topic", "--topic", OUTPUT, "--partitions", "6")
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME},
            "data": {"handler.py": HANDLER},
        }
    )
    kube.apply(
        {
            "apiVersion": "telemetry.iot-hub.io/v1alpha1",
            "kind": "TelemetryConsumer",
            "metadata": {"name": NAME},
            "spec": {
                "topics": [RAW],
                "startFrom": "latest",
                "handler": {"configMap": {"name": NAME, "key": "handler.py"}, "class": "Slow"},
                "output": {"topic": OUTPUT},
                "batch": {"maxSize": 20},
                "autoscaling": {"minReplicas": 1, "maxReplicas": MOST, "lagThreshold": 200, "cooldownSeconds": 0},
            },
        }
    )
    kube.wait("condition=Ready", f"telemetryconsumer/{NAME}", timeout=120)
    yield NAME
    kube.run("delete", "telemetryconsumer", NAME, "--timeout=60s")


def read_status(release: Release) -> dict[str, Any]:
    status: dict[str, Any] = release.kube.get("telemetryconsumer", NAME)["status"]
    return status


def test_workers_follow_the_lag_and_every_message_is_handled_once(
    release: Release, consumer: str, readings: list[Reading]
) -> None:
    kube = release.kube
    kube.wait("condition=AutoscalingReady", f"telemetryconsumer/{consumer}", timeout=120)
    sent = build_good(readings, "scaled-by-keda-", MESSAGES)
    publishing = release.publish("keda", sent)

    wait_until(
        lambda: read_status(release).get("readyReplicas") == MOST,
        timeout=180,
        interval=1,
        what=f"{MOST} workers at work",
        hint=lambda: kube.run("describe", "scaledobject,hpa"),
    )
    publishing.result()
    group = read_status(release)["groupId"]
    release.settle(group, timeout=180)
    wait_until(
        lambda: read_status(release).get("readyReplicas") == 1,
        timeout=300,
        interval=1,
        what="the workers that nothing needs to be gone",
        hint=lambda: kube.run("describe", "scaledobject,hpa"),
    )
    wait_until(lambda: read_status(release).get("lag") == 0, timeout=120, interval=1, what="a status without lag")

    # The broker may have given ingestion one of them twice; whatever is in the topic is handled once.
    raw = Counter(record["id"] for record in release.read([RAW], "scaled-by-keda-", until=MESSAGES))
    assert len(raw) == MESSAGES
    made = Counter(record["id"] for record in release.read([OUTPUT], "scaled-by-keda-", until=MESSAGES))
    assert not differences(made, raw)
