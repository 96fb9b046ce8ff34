"""Autoscaling on a real cluster: without KEDA a condition says so; with it, KEDA takes the ScaledObject as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from contract.kubectl import Kubectl, Refusal
from contract.operator_process import Operator, find_condition, wait_for_reason
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

SCALING = {"autoscaling": {"maxReplicas": 3, "lagThreshold": 10}, "replicas": 0}


@pytest.fixture
def has_keda(kubectl: Kubectl) -> bool:
    """Whether the cluster has KEDA's kinds."""
    return "scaledobjects" in kubectl.run("api-resources", "--api-group=keda.sh", "-o", "name")


def test_without_keda_the_replicas_go_on(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str], has_keda: bool
) -> None:
    if has_keda:
        pytest.skip("this cluster has KEDA: the other test looks at it")
    assert operator.ask("/readyz") == 200
    name = apply("keda-missing", SCALING)
    wait_for_reason(kubectl, name, "ScaledToZero")
    condition = find_condition(kubectl, name, "AutoscalingReady")
    assert (condition["status"], condition["reason"]) == ("False", "KedaMissing")
    kubectl.run("scale", f"telemetryconsumer/{name}", "--replicas=1")
    wait_until(lambda: (kubectl.get("deployment", name) or {})["spec"]["replicas"] == 1, what="the worker")


def test_with_keda_it_takes_the_scaled_object_and_gives_it_back(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str], has_keda: bool
) -> None:
    if not has_keda:
        pytest.skip("this cluster has no KEDA: the other test looks at it")
    assert operator.ask("/readyz") == 200
    kafka = {"securityProtocol": "SASL_SSL", "saslMechanism": "PLAIN", "secretRef": {"name": "none"}}
    name = apply("keda-there", SCALING | {"kafka": kafka})
    wait_for_reason(kubectl, name, "ScaledToZero")
    wait_until(lambda: kubectl.get("scaledobject", name) is not None, what="the ScaledObject")
    scaled = kubectl.get("scaledobject", name) or {}
    assert scaled["spec"]["triggers"][0]["authenticationRef"] == {"name": name}
    assert kubectl.get("triggerauthentication", name) is not None
    # No broker can be asked here, so KEDA says what it misses; or it is not at work yet.
    wait_until(lambda: find_condition(kubectl, name, "AutoscalingReady") != {}, what="the condition")
    kubectl.patch("telemetryconsumer", name, {"spec": {"paused": True}})
    paused = "autoscaling.keda.sh/paused"
    wait_until(
        lambda: paused in (kubectl.get("scaledobject", name) or {})["metadata"].get("annotations", {}), what="the pause"
    )
    kubectl.patch("telemetryconsumer", name, {"spec": {"autoscaling": None}})
    wait_until(lambda: kubectl.get("scaledobject", name) is None, what="the ScaledObject to go")
    assert kubectl.get("triggerauthentication", name) is None
    wait_until(lambda: find_condition(kubectl, name, "AutoscalingReady") == {}, what="the condition to go")
    with pytest.raises(Refusal, match="not found"):
        kubectl.run("get", "scaledobject", name)
