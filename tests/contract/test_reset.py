"""The reset of a group as far as a cluster without Kafka can tell: what the API server keeps, and what is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contract.kubectl import Kubectl
from contract.operator_process import Operator, wait_for_reason
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

ANNOTATION = "telemetry.iot-hub.io/reset-offsets"


def reset_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (kubectl.get("telemetryconsumer", name) or {}).get("status", {}).get("offsetsReset", {})
    return found


def wait_for_state(kubectl: Kubectl, name: str, state: str, requested: str | None) -> dict[str, Any]:
    def stands() -> bool:
        reset = reset_of(kubectl, name)
        return (reset.get("state"), reset.get("requested")) == (state, requested)

    wait_until(stands, what=f"{requested} to be {state}", hint=lambda: str(reset_of(kubectl, name)))
    return reset_of(kubectl, name)


def ask(kubectl: Kubectl, name: str, value: str) -> None:
    kubectl.run("annotate", "telemetryconsumer", name, f"{ANNOTATION}={value}", "--overwrite")


def reasons_of(kubectl: Kubectl, name: str) -> list[str]:
    found = kubectl.list("events", "--field-selector", f"involvedObject.name={name}")
    return [event["reason"] for event in found if event["involvedObject"]["kind"] == "TelemetryConsumer"]


def test_what_cant_be_is_refused_once_and_what_can_waits_for_kafka(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    """Given no Kafka that answers, when a reset is asked for, then it waits; taken back, all is as it was."""
    name = apply("reset", {"replicas": 0})
    wait_for_reason(kubectl, name, "ScaledToZero")
    ask(kubectl, name, "yesterday")
    refused = wait_for_state(kubectl, name, "Refused", "yesterday")
    assert "'yesterday' is no place in a topic: write earliest" in refused["message"]
    ask(kubectl, name, "-10@second")
    wait_for_state(kubectl, name, "Underway", "-10@second")
    ready = wait_for_reason(kubectl, name, "ResettingOffsets")
    assert ready["status"] == "False"
    kubectl.run("annotate", "telemetryconsumer", name, f"{ANNOTATION}-")
    assert "taken away" in wait_for_state(kubectl, name, "Refused", None)["message"]
    wait_for_reason(kubectl, name, "ScaledToZero")
    wait_until(lambda: reasons_of(kubectl, name).count("OffsetsResetRefused") == 1, what="the event")
    assert reasons_of(kubectl, name).count("ResettingOffsets") == 1


def test_one_that_comes_with_the_manifest_moves_nothing(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    assert operator.ask("/readyz") == 200
    name = apply("reset-born", {"replicas": 0}, annotations={ANNOTATION: "earliest"})
    wait_for_reason(kubectl, name, "ScaledToZero")
    assert "was there when" in wait_for_state(kubectl, name, "Refused", "earliest")["message"]


def test_the_status_takes_all_that_is_said(kubectl: Kubectl, apply: Callable[..., str]) -> None:
    """A field that the CRD does not have would be dropped without a word, and be written again and again."""
    name = apply("reset-status", {"replicas": 0})
    said = {
        "began": {"startFrom": "latest", "at": "2026-02-20T22:45:00Z"},
        "offsetsReset": {
            "requested": "earliest",
            "state": "Done",
            "since": "2026-02-20T22:45:00Z",
            "message": "moved",
            "moved": -7,
        },
    }
    patch = ["--type=merge", "-p", json.dumps({"status": said}), "-o", "json"]
    found = json.loads(kubectl.run("patch", "telemetryconsumer", name, "--subresource=status", *patch))
    assert {field: found["status"][field] for field in said} == said
