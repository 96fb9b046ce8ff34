"""What is read from objects, and above all: what a pod's status says about why it is not at work."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telemetry_operator.facts import Owner, Problem, find_problem, read_consumer, read_deployment, read_pod
from unit.operator.samples import KEY, UID, consumer_body


def pod(*, phase: str = "Pending", conditions: Any = (), **containers: dict[str, Any]) -> dict[str, Any]:
    """A pod; ``preflight`` and ``worker`` are its containers' statuses."""
    return {
        "metadata": {
            "namespace": KEY.namespace,
            "name": "p-1",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"telemetry.iot-hub.io/consumer": KEY.name},
            "annotations": {"telemetry.iot-hub.io/config-hash": "abc"},
        },
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "initContainerStatuses": [{"name": "preflight", "image": "i:1", **containers.get("preflight", {})}],
            "containerStatuses": [{"name": "worker", "image": "i:1", **containers.get("worker", {})}],
        },
    }


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def words(reason: str, message: str) -> str:
    return json.dumps({"reason": reason, "message": message})


BACK_OFF = {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "ready": False}
DONE = {"state": ended(0, reason="Completed"), "ready": True}


@pytest.mark.parametrize(
    ("status", "reason", "said", "hopeless"),
    [
        (
            {"preflight": {"state": ended(78, words("HandlerNotFound", "no class X"))}},
            "HandlerNotFound",
            "no class X",
            True,
        ),
        (
            {"preflight": {"state": ended(75, words("TopicNotFound", "no topic y"))}},
            "TopicNotFound",
            "no topic y",
            False,
        ),
        (
            {"preflight": {**BACK_OFF, "lastState": ended(75, words("KafkaUnavailable", "no broker"))}},
            "KafkaUnavailable",
            "no broker",
            False,
        ),
        (
            {
                "preflight": {
                    "state": {"running": {}},
                    "ready": False,
                    "lastState": ended(75, words("TopicNotFound", "t")),
                }
            },
            "TopicNotFound",
            "t (pod p-1, container preflight)",
            False,
        ),
        (
            {"preflight": DONE, "worker": {**BACK_OFF, "lastState": ended(78, words("HandlerFailed", "boom"))}},
            "HandlerFailed",
            "boom",
            True,
        ),
        (
            {"preflight": DONE, "worker": {**BACK_OFF, "lastState": ended(137, reason="OOMKilled")}},
            "OOMKilled",
            "resources.limits.memory",
            False,
        ),
        (
            {"preflight": DONE, "worker": {"state": ended(1, "Traceback\nValueError: x")}},
            "Error",
            "exit code 1: ValueError: x",
            False,
        ),
        ({"preflight": {"state": ended(2)}}, "Error", "it left no message", False),
        (
            {"preflight": {"state": ended(1, '{"reason": "not a reason!", "message": "m"}')}},
            "Error",
            "exit code 1",
            False,
        ),
        ({"preflight": {"state": ended(1, '["reason"]')}}, "Error", "exit code 1", False),
        (
            {
                "preflight": {
                    "state": {
                        "waiting": {
                            "reason": "ImagePullBackOff",
                            "message": 'Back-off pulling image "i:1": ErrImagePull: not found',
                        }
                    }
                }
            },
            "ImagePullBackOff",
            "the image 'i:1' can't be had: not found",
            False,
        ),
        (
            {"preflight": {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}},
            "ImagePullBackOff",
            "not found",
            False,
        ),
        (
            {"preflight": {"state": {"waiting": {"reason": "InvalidImageName", "message": "bad"}}}},
            "InvalidImageName",
            "bad",
            True,
        ),
        (
            {
                "worker": {
                    "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}}
                }
            },
            "CreateContainerConfigError",
            'secret "s" not found',
            False,
        ),
    ],
)
def test_why_a_pod_is_not_at_work(status: dict[str, Any], reason: str, said: str, hopeless: bool) -> None:
    problem = find_problem(pod(**status))
    assert problem is not None
    assert (problem.reason, problem.hopeless) == (reason, hopeless)
    assert said in problem.message
    assert "(pod p-1, container " in problem.message


def test_a_pod_that_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
    assert find_problem(pod(conditions=[condition])) == Problem(
        reason="Unschedulable", message="no node takes pod p-1: 0/1 nodes: cpu", hopeless=False
    )


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"preflight": {"state": {"waiting": {"reason": "ContainerCreating"}}}},
        {"preflight": {"state": {"waiting": {}}}},
        {"preflight": {"state": {"running": {}}}, "worker": {"state": {"waiting": {"reason": "PodInitializing"}}}},
        {"preflight": DONE, "worker": {"state": {"running": {}}, "ready": False}},
        {"preflight": DONE, "worker": {"state": {"running": {}}, "ready": True, "lastState": ended(1)}},
        {"preflight": {**BACK_OFF, "lastState": {}}},
    ],
)
def test_a_pod_that_starts_or_works_has_no_problem(status: dict[str, Any]) -> None:
    assert find_problem(pod(**status)) is None


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_is_over_is_its_replicasets_matter(phase: str) -> None:
    assert find_problem(pod(phase=phase, preflight={"state": ended(1)})) is None


@pytest.mark.parametrize(("phase", "over"), [("Running", False), ("Succeeded", True), ("Failed", True)])
def test_a_pod_that_is_over_is_known_to_be(phase: str, over: bool) -> None:
    assert read_pod(pod(phase=phase)).ended is over


def test_a_pods_fact() -> None:
    fact = read_pod(pod(preflight={"state": ended(78, words("HandlerNotFound", "m"))}))
    assert (fact.namespace, fact.name, fact.consumer, fact.config_hash) == (KEY.namespace, "p-1", KEY.name, "abc")
    assert fact.problem is not None


def test_a_pod_that_is_leaving_has_no_problem() -> None:
    body = pod(preflight={"state": ended(1)})
    body["metadata"]["deletionTimestamp"] = "2026-02-20T22:45:00Z"
    assert read_pod(body).problem is None


def test_a_consumers_fact_holds_the_spec_and_only_the_annotation_that_counts() -> None:
    body = consumer_body(
        annotations={"telemetry.iot-hub.io/restart": "2", "other": "x" * 1000}, deletionTimestamp="2026-02-20T22:45:00Z"
    )
    fact = read_consumer({**body, "status": {"replicas": 1}})
    assert fact.key == KEY
    assert fact.body["spec"] == body["spec"]
    assert fact.body["metadata"]["annotations"] == {"telemetry.iot-hub.io/restart": "2"}
    assert (fact.status, fact.deleting) == ({"replicas": 1}, True)


def deployment(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "uid": "d",
            "resourceVersion": "9",
            "generation": 3,
            "labels": {"a": "b"},
            "ownerReferences": [
                {"kind": "Other", "name": "o", "uid": "1"},
                {"kind": "TelemetryConsumer", "name": KEY.name, "uid": UID, "controller": True},
            ],
        },
        "spec": {"template": {"metadata": {"annotations": {"telemetry.iot-hub.io/handler-hash": "h"}}}},
        "status": status,
    }


def test_a_deployments_fact() -> None:
    fact = read_deployment(
        deployment(observedGeneration=2, replicas=4, updatedReplicas=3, availableReplicas=2, readyReplicas=1)
    )
    assert fact.owner == Owner(kind="TelemetryConsumer", name=KEY.name, uid=UID)
    assert (fact.generation, fact.observed_generation, fact.handler_hash) == (3, 2, "h")
    assert (fact.replicas, fact.updated, fact.available, fact.ready) == (4, 3, 2, 1)
    assert fact.failure is None
    assert not fact.deleting


def test_a_deployment_that_nobody_controls_and_nothing_is_known_of() -> None:
    body = deployment()
    del body["metadata"]["ownerReferences"], body["metadata"]["labels"], body["status"], body["spec"]["template"]
    fact = read_deployment(body)
    assert (fact.owner, fact.labels, fact.replicas, fact.handler_hash) == (None, {}, 0, None)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"},
            ("FailedCreate", "quota"),
        ),
        (
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"},
            ("ProgressDeadlineExceeded", "m"),
        ),
        ({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}, None),
        ({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}, None),
    ],
)
def test_what_fails_a_deployment(condition: dict[str, str], expected: tuple[str, str] | None) -> None:
    assert read_deployment(deployment(conditions=[condition])).failure == expected


@pytest.mark.parametrize(
    ("preflight", "loaded"),
    [
        (DONE, True),
        ({"state": {"running": {}}}, False),
        ({"state": ended(78, words("HandlerFailed", "boom"))}, False),
        ({"state": {"running": {}}, "lastState": ended(0)}, False),
    ],
)
def test_a_preflight_that_is_through_has_loaded_the_handler(preflight: dict[str, Any], loaded: bool) -> None:
    assert read_pod(pod(preflight=preflight)).loaded is loaded


def test_a_preflight_without_words_of_its_own_leaves_the_end_of_its_log() -> None:
    log = "\n".join(f"line {number}" for number in range(30))
    problem = find_problem(pod(preflight={"state": ended(1, log)}))
    assert problem is not None
    assert problem.container == "preflight"
    assert problem.last_lines == "\n".join(f"line {number}" for number in range(20, 30))
    spoken = find_problem(pod(preflight={"state": ended(78, words("HandlerFailed", "boom"))}))
    assert spoken is not None
    assert spoken.last_lines == ""
