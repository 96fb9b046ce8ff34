"""A release on a cluster, as its objects tell: what ails it, in the cluster's own words."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from iothub.cluster import Release
from iothub.doctor import cluster
from iothub.doctor.finding import Finding, State
from iothub.kubectl import find_kubectl
from iothub.resources import find_resource
from unit.iothub.stand_in import KubectlStandIn, make_kafka_pod, make_mqtt_pod, make_pod

TC = "telemetryconsumers.telemetry.iot-hub.io"
CRD: dict[str, Any] = yaml.safe_load(find_resource("crds/telemetryconsumer.yaml").read_text("utf-8"))


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubectlStandIn:
    stand_in = KubectlStandIn(tmp_path)
    monkeypatch.setenv("PATH", stand_in.path)
    return stand_in


def waiting(reason: str, message: str = "", *, said: str = "") -> dict[str, Any]:
    state = {"restartCount": 3, "state": {"waiting": {"reason": reason, "message": message}}}
    return {"containerStatuses": [state | ({"lastState": {"terminated": {"message": said}}} if said else {})]}


def consumer(name: str, *conditions: dict[str, str]) -> dict[str, Any]:
    status = {"conditions": list(conditions)} if conditions else {}
    return {"metadata": {"name": name, "namespace": "hub"}, "spec": {}, "status": status}


class TestCrd:
    """The CRD is there, and as recent as this program."""

    def test_ours_is_recent(self, kubectl: KubectlStandIn) -> None:
        kubectl.found["crd"] = CRD
        kubectl.write()
        assert cluster.check_crd(find_kubectl("plant", None)).state is State.OK

    def test_a_field_that_is_lacking_is_named(self) -> None:
        older = copy.deepcopy(CRD)
        spec = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        del spec["properties"]["paused"]
        finding = cluster.judge_crd(older, CRD)
        assert finding.state is State.WRONG
        assert "it lacks spec.paused" in finding.found
        assert "helm upgrade" in finding.advice

    def test_a_newer_one_is_fine(self) -> None:
        newer = copy.deepcopy(CRD)
        spec = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"]["someday"] = {"type": "string"}
        assert cluster.judge_crd(newer, CRD).state is State.OK

    def test_it_is_not_there(self, kubectl: KubectlStandIn) -> None:
        kubectl.found["crd"] = None
        kubectl.write()
        finding = cluster.check_crd(find_kubectl("plant", None))
        assert finding.state is State.WRONG
        assert "is not there" in finding.found

    def test_who_may_not_look_at_it_is_not_told_that_it_is_wrong(self, kubectl: KubectlStandIn) -> None:
        kubectl.fail("crd", "Error from server (Forbidden): no")
        assert cluster.check_crd(find_kubectl("plant", None)).state is State.MISSING


class TestPods:
    """A pod is ready, or it says why it is not."""

    def judge(self, **changes: Any) -> Finding:
        return cluster.judge_pod(make_pod("iot-hub-kafka-0", "kafka", **changes))

    def test_ready(self) -> None:
        assert self.judge() == Finding.ok("pod iot-hub-kafka-0", "ready")

    @pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"])
    def test_an_image_that_can_not_be_had(self, reason: str) -> None:
        finding = self.judge(ready=False, phase="Pending", status=waiting(reason, "no such host"))
        assert finding.state is State.WRONG
        assert finding.found == f"{reason}: no such host"
        assert "global.imagePullSecrets" in finding.means
        assert "describe pod iot-hub-kafka-0" in finding.advice

    def test_a_container_that_crashes_says_its_last_words(self) -> None:
        finding = self.judge(ready=False, status=waiting("CrashLoopBackOff", "back-off 5m0s", said="disk is full\n"))
        assert finding.found == "CrashLoopBackOff: disk is full"
        assert "logs iot-hub-kafka-0" in finding.advice

    def test_a_pod_that_fits_nowhere(self) -> None:
        conditions = [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}
        ]
        finding = self.judge(phase="Pending", status={"conditions": conditions, "containerStatuses": []})
        assert finding.found == "Unschedulable: Insufficient memory"

    def test_one_that_is_just_starting_may_still_come(self) -> None:
        finding = self.judge(ready=False, phase="Pending", status=waiting("ContainerCreating"))
        assert (finding.state, finding.found) == (State.WRONG, "Pending")
        assert "may still be coming up" in finding.means

    def test_parts_that_are_not_there_and_jobs_that_are_done(self, kubectl: KubectlStandIn) -> None:
        done = make_pod("iot-hub-topics-x", "iot-hub", ready=False, phase="Succeeded")
        pods = (make_kafka_pod(21000), make_mqtt_pod(ready=False), done)
        findings = {f.name: f.state for f in cluster.judge_pods(Release("iot-hub", find_kubectl("plant", None), pods))}
        assert findings == {
            "ingestion": State.MISSING,
            "operator": State.MISSING,
            "pod iot-hub-kafka-0": State.OK,
            "pod iot-hub-mqtt-0": State.WRONG,
        }


class TestVolumes:
    """A claim is bound, or its pod waits."""

    @staticmethod
    def claim(phase: str, **spec: str) -> dict[str, Any]:
        return {"metadata": {"name": "data-0", "namespace": "hub"}, "spec": spec, "status": {"phase": phase}}

    def test_bound(self) -> None:
        assert cluster.judge_claim(self.claim("Bound")) is None

    @pytest.mark.parametrize(
        ("spec", "means"), [({}, "names no StorageClass"), ({"storageClassName": "fast"}, "StorageClass fast")]
    )
    def test_pending(self, spec: dict[str, str], means: str) -> None:
        finding = cluster.judge_claim(self.claim("Pending", **spec))
        assert finding is not None
        assert (finding.name, finding.state, finding.found) == ("volume data-0", State.WRONG, "Pending")
        assert means in finding.means


class TestConsumers:
    """A TelemetryConsumer is Ready, or the operator's sentence is shown."""

    def test_all_that_is_not_ready_is_told(self, kubectl: KubectlStandIn) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "Running", "message": "1 of 1"}
        not_ready = {"type": "Ready", "status": "False", "reason": "TopicNotFound", "message": "no topic 'x'"}
        kubectl.listed[TC] = [consumer("good", ready), consumer("bad", not_ready), consumer("alone")]
        kubectl.write()
        bad, alone, summary = cluster.check_consumers(find_kubectl("plant", None))
        assert (bad.name, bad.state, bad.found) == ("consumer bad", State.WRONG, "TopicNotFound: no topic 'x'")
        assert "describe telemetryconsumer bad" in bad.advice
        assert "no operator serves this namespace" in alone.means
        assert summary.found == "1 Ready in namespace hub"

    def test_a_cluster_that_does_not_know_them(self, kubectl: KubectlStandIn) -> None:
        kubectl.fail(TC, f'error: the server doesn\'t have a resource type "{TC}"')
        [finding] = cluster.check_consumers(find_kubectl("plant", None))
        assert finding.state is State.MISSING
