"""The operator as a process, with exactly the rights of its Role, on a real API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from contract.kubectl import Kubectl
from contract.operator_process import Operator, find_condition, wait_for_reason
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

MENDED_SECONDS = 5.0
"""How soon a child's drift is mended."""


def test_scaled_to_zero_paused_and_scaled_up(operator: Operator, kubectl: Kubectl, apply: Callable[..., str]) -> None:
    name = apply("scaled", {"replicas": 0})
    wait_for_reason(kubectl, name, "ScaledToZero")
    kubectl.run("wait", "--for=condition=Ready", f"telemetryconsumer/{name}", "--timeout=10s")
    kubectl.run("scale", f"telemetryconsumer/{name}", "--replicas=2")
    wait_until(
        lambda: (kubectl.get("telemetryconsumer", name) or {})["status"]["replicas"] == 2, what="two workers to exist"
    )
    scale = json.loads(
        kubectl.run(
            "get",
            "--raw",
            f"/apis/telemetry.iot-hub.io/v1alpha1/namespaces/{kubectl.namespace}/telemetryconsumers/{name}/scale",
        )
    )
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (2, 2)
    assert len(kubectl.list("pods", "-l", scale["status"]["selector"])) == 2
    kubectl.patch("telemetryconsumer", name, {"spec": {"paused": True}})
    wait_for_reason(kubectl, name, "Paused")
    found = kubectl.get("telemetryconsumer", name)
    assert found is not None
    assert found["spec"]["replicas"] == 2
    assert found["status"]["selector"] == scale["status"]["selector"]


def test_drift_is_mended_within_five_seconds(operator: Operator, kubectl: Kubectl, apply: Callable[..., str]) -> None:
    name = apply("drift", {"replicas": 0})
    wait_for_reason(kubectl, name, "ScaledToZero")
    before = kubectl.get("deployment", name)
    assert before is not None

    def as_before() -> bool:
        now = kubectl.get("deployment", name)
        return now is not None and (now["spec"], now["metadata"]["labels"], now["metadata"].get("ownerReferences")) == (
            before["spec"],
            before["metadata"]["labels"],
            before["metadata"]["ownerReferences"],
        )

    edits: list[list[str]] = [
        ["scale", f"deployment/{name}", "--replicas=3"],
        ["set", "image", f"deployment/{name}", "worker=theirs:1"],
        ["set", "env", f"deployment/{name}", "KAFKA_GROUP_ID=theirs"],
        ["label", f"deployment/{name}", "app.kubernetes.io/part-of-"],
        ["label", f"deployment/{name}", "telemetry.iot-hub.io/consumer-"],
        ["patch", "deployment", name, "--type=json", '-p=[{"op": "remove", "path": "/metadata/ownerReferences"}]'],
        ["delete", "deployment", name, "--cascade=foreground"],
    ]
    for edit in edits:
        kubectl.run(*edit)
        wait_until(as_before, timeout=MENDED_SECONDS, what=f"kubectl {' '.join(edit)} to be mended")


def test_a_foreign_deployment_is_left_alone_and_its_name_taken_once_it_is_free(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    kubectl.run("create", "deployment", "theirs", "--image=theirs:1", "--replicas=0")
    name = apply("theirs", {"replicas": 0})
    wait_for_reason(kubectl, name, "NameConflict")
    found = kubectl.get("deployment", name)
    assert found is not None
    assert "ownerReferences" not in found["metadata"]
    kubectl.run("delete", "deployment", name)
    wait_for_reason(kubectl, name, "ScaledToZero")


def test_nothing_of_kopfs_is_left_on_any_object(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    name = apply("clean", {"replicas": 1})
    wait_for_reason(kubectl, name, "ErrImageNeverPull")
    kubectl.patch("telemetryconsumer", name, {"spec": {"maxAttempts": 7}})
    wait_until(lambda: find_condition(kubectl, name).get("observedGeneration") == 2, what="the change to be taken up")
    selector = f"telemetry.iot-hub.io/consumer={name}"
    for found in [
        *kubectl.list("telemetryconsumers"),
        *kubectl.list("deployments", "-l", selector),
        *kubectl.list("pods", "-l", selector),
    ]:
        metadata = found["metadata"]
        assert "finalizers" not in metadata
        ours = {
            key for key in metadata.get("annotations", {}) if "kopf" in key or key.startswith("telemetry.iot-hub.io/")
        }
        assert ours <= {"telemetry.iot-hub.io/config-hash"}


def test_events_come_with_transitions(operator: Operator, kubectl: Kubectl, apply: Callable[..., str]) -> None:
    name = apply("events", {"replicas": 0})
    wait_for_reason(kubectl, name, "ScaledToZero")
    kubectl.patch("telemetryconsumer", name, {"spec": {"paused": True}})
    wait_for_reason(kubectl, name, "Paused")

    def reasons() -> list[str]:
        found = kubectl.list(
            "events", "--field-selector", f"involvedObject.kind=TelemetryConsumer,involvedObject.name={name}"
        )
        return [event["reason"] for event in found]

    wait_until(lambda: "Paused" in reasons(), what="the event")
    assert len(reasons()) == len(set(reasons()))
    assert "Paused" in kubectl.run("describe", "telemetryconsumer", name).partition("Events:")[2]


def test_a_steady_consumer_costs_next_to_nothing(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    """Given ten that are settled, when passes come round, then no call is made but the lists of once a minute."""
    names = [apply(f"steady-{number}", {"replicas": 0}) for number in range(10)]
    for name in names:
        wait_for_reason(kubectl, name, "ScaledToZero")
    # No Kafka is there, which is told once.
    wait_until(
        lambda: {find_condition(kubectl, name, "Degraded").get("reason") for name in names} == {"KafkaUnavailable"},
        what="all of them to say that Kafka is away",
    )
    versions = {name: (kubectl.get("telemetryconsumer", name) or {})["metadata"]["resourceVersion"] for name in names}
    # Others that are not settled may still be on their way out; a look at 12 s holds six passes.
    before, started = operator.count_calls(), time.monotonic()
    wait_until(lambda: time.monotonic() - started > 12, timeout=20, what="six passes")
    assert operator.count_calls() - before <= 4
    for name in names:
        assert (kubectl.get("telemetryconsumer", name) or {})["metadata"]["resourceVersion"] == versions[name]


def test_deletion_needs_no_operator(operator: Operator, kubectl: Kubectl, apply: Callable[..., str]) -> None:
    name = apply("deleted", {"replicas": 0})
    wait_for_reason(kubectl, name, "ScaledToZero")
    assert operator.process.stop(timeout=10) == 0
    kubectl.run("delete", "telemetryconsumer", name, "--timeout=10s")
    wait_until(lambda: kubectl.get("deployment", name) is None, what="the Deployment to go with it")
    operator.start()


def test_what_happened_while_it_was_away_is_caught_up_with(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    """Given SIGKILL, when one is edited, one is made and a child is deleted meanwhile, then a start mends all three."""
    edited, child = apply("away-edited", {"replicas": 0}), apply("away-child", {"replicas": 0})
    for name in (edited, child):
        wait_for_reason(kubectl, name, "ScaledToZero")
    operator.process.kill()
    kubectl.patch("telemetryconsumer", edited, {"spec": {"paused": True}})
    kubectl.run("delete", "deployment", child)
    made = apply("away-made", {"replicas": 0})
    operator.start()
    wait_for_reason(kubectl, edited, "Paused")
    wait_for_reason(kubectl, made, "ScaledToZero")
    wait_until(lambda: kubectl.get("deployment", child) is not None, what="the child to come back")


def test_it_is_small_alive_and_stays_up(operator: Operator) -> None:
    assert operator.ask("/healthz") == 200
    assert operator.ask("/readyz") == 200
    assert operator.ask("/elsewhere") == 404
    assert operator.read_memory() <= 90
    assert [entry for entry in operator.log() if entry["level"] in {"error", "critical"}] == []


def test_sigterm_ends_it_soon_and_in_order(kubectl: Kubectl, kubeconfig: Path, tmp_path: Path) -> None:
    second = Operator(kubectl, kubeconfig, tmp_path / "second.log")
    second.start()
    started = time.monotonic()
    os.kill(second.process.pid, signal.SIGTERM)
    assert second.process.stop(timeout=10) == 0
    assert time.monotonic() - started < 10
    # asyncio may have a word about a generator of kopf's behind it.
    assert "operator ends" in [entry["event"] for entry in second.log()[-3:]]


def test_rights_that_are_missing_are_waited_for_and_named(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl.run("create", "serviceaccount", "nobody")
    config = yaml.safe_load(kubectl.run("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": kubectl.run("create", "token", "nobody").strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    operator = Operator(kubectl, path, tmp_path / "operator.log")
    operator.process.start(lambda: operator.ask("/healthz") == 200, timeout=30)
    try:
        assert operator.ask("/readyz") == 503
        wait_until(
            lambda: any("forbidden" in entry.get("problem", "") for entry in operator.log()), what="its complaint"
        )
    finally:
        assert operator.process.stop(timeout=10) == 0


@pytest.mark.parametrize("arguments", [[], ["--apply-crds", "/nowhere"]])
def test_settings_that_cant_work_end_it_with_78_and_one_sentence(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "telemetry_operator", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HTTP_PORT": "x"},
        timeout=30,
    )
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in line
    assert ("HTTP_PORT: " in line and "OPERATOR_WORKER_IMAGE: is required" in line) or "--apply-crds: " in line
