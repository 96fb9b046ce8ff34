"""A consumer is one `kubectl apply`: it gets every message, shares it among its replicas, and scales."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from e2e.kube import ROOT
from e2e.readings import build_good, differences
from e2e.release import RAW
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.readings import Reading
    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

EXAMPLE = ROOT / "examples" / "telemetry-raw-logger.yaml"
NAME = "telemetry-raw-logger"


@dataclass
class Logger:
    """The raw logger of the examples, applied and ready."""

    release: Release
    name: str

    @property
    def resource(self) -> dict[str, Any]:
        return self.release.kube.get("telemetryconsumer", self.name)

    @property
    def group(self) -> str:
        return str(self.resource["status"]["groupId"])

    def pods(self, count: int) -> list[str]:
        """Return the names of its pods once there are ``count``, all ready."""
        pods = self.release.kube.wait_for_pods(self.release.consumer_pods(self.name), count)
        return [pod["metadata"]["name"] for pod in pods]

    def events(self, pods: list[str]) -> list[dict[str, Any]]:
        """Return what the pods have logged, one event a batch."""
        lines = [line for pod in pods for line in self.release.kube.json_logs(pod, container="worker")]
        return [line for line in lines if line.get("event") == "readings"]

    def handled(self, pods: list[str]) -> Counter[str]:
        """Return how often each id was handled by these pods."""
        return Counter(id_ for event in self.events(pods) for id_ in event["ids"])


@pytest.fixture(scope="module")
def logger(release: Release, readings: list[Reading]) -> Iterator[Logger]:
    # Enough for several full batches, all of it there before the consumer is.
    release.publish("backlog", build_good(readings, "backlog-", 3_000)).result()
    release.settle_pipeline(3_000, "backlog-")
    release.kube.apply(EXAMPLE)
    yield Logger(release, NAME)
    release.kube.run("delete", "telemetryconsumer", NAME, "--ignore-not-found", "--timeout=60s")


def test_kubectl_apply_of_the_example_makes_a_ready_deployment(release: Release, logger: Logger) -> None:
    release.kube.wait("condition=Ready", f"telemetryconsumer/{NAME}", timeout=90)
    (pod,) = logger.pods(1)
    assert release.kube.get("pod", pod)["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    status = logger.resource["status"]
    assert (status["replicas"], status["readyReplicas"]) == (1, 1)
    assert status["observedGeneration"] == logger.resource["metadata"]["generation"]


def test_its_log_shows_the_readings_in_batches_of_the_size_asked_for(release: Release, logger: Logger) -> None:
    asked = logger.resource["spec"]["batch"]["maxSize"]
    release.settle(logger.group)
    pods = logger.pods(1)

    sizes = [event["size"] for event in logger.events(pods)]

    assert max(sizes) == asked, f"with a backlog there must be full batches: {sizes}"
    assert all(event["size"] == len(event["ids"]) for event in logger.events(pods))
    assert not differences(logger.handled(pods), Counter(record["id"] for record in release.read([RAW])))


def test_scaled_to_three_each_partition_has_one_of_them_and_each_message_is_handled_once(
    release: Release, logger: Logger, readings: list[Reading]
) -> None:
    kube = release.kube
    kube.run("scale", f"telemetryconsumer/{NAME}", "--replicas=3")
    pods = logger.pods(3)
    kube.run("wait", "--for=jsonpath={.status.readyReplicas}=3", f"telemetryconsumer/{NAME}", "--timeout=60s")
    (partitions,) = release.tool("topics")

    def shared_out() -> list[list[str]] | None:
        (group,) = release.tool("members", "--group", logger.group)
        shares = [member["partitions"] for member in group["members"]]
        return shares if len(shares) == 3 and all(shares) and group["state"] == "STABLE" else None

    shares = wait_until(shared_out, timeout=60, interval=1, what="three members with partitions") or []
    assert sorted(itertools.chain.from_iterable(shares)) == sorted(
        f"{RAW}[{number}]" for number in range(partitions[RAW])
    )
    assert {len(share) for share in shares} == {partitions[RAW] // 3}

    sent = build_good(readings, "scaled-", 3_000)
    release.publish("scaled", sent).result()
    release.settle_pipeline(len(sent), "scaled-")
    release.settle(logger.group)

    # All since the beginning: neither the messages nor the scaling made any of the three handle one again.
    assert not differences(logger.handled(pods), Counter(record["id"] for record in release.read([RAW])))
    by_pod = {pod: sum(id_.startswith("scaled-") for id_ in logger.handled([pod])) for pod in pods}
    assert all(by_pod.values()), f"each of the three had a share: {by_pod}"


def test_another_group_gets_every_message_too(release: Release, logger: Logger) -> None:
    other = Logger(release, "second-logger")
    release.kube.apply(
        {
            "apiVersion": "telemetry.iot-hub.io/v1alpha1",
            "kind": "TelemetryConsumer",
            "metadata": {"name": other.name},
            "spec": {**logger.resource["spec"], "groupId": "second-logger", "replicas": 1},
        }
    )
    try:
        release.kube.wait("condition=Ready", f"telemetryconsumer/{other.name}", timeout=90)
        release.settle("second-logger")
        every = Counter(record["id"] for record in release.read([RAW]))
        assert not differences(other.handled(other.pods(1)), every)
    finally:
        release.kube.run("delete", "telemetryconsumer", other.name, "--timeout=60s")
