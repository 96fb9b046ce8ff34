"""Autoscaling on a real cluster: without KEDA a condition says so; with it, KEDA takes the ScaledObject as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.kubectl import Kubectl, Refusal
from contract.operator_process import Operator, find_condition, wait_for_reason
from support.keda import find_keda
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

MENDED_SECONDS = 5.0
"""How soon an edit of what KEDA is given is mended."""
SCALING = {"autoscaling": {"maxReplicas": 3, "lagThreshold": 10}, "replicas": 0}


@pytest.fixture
def has_keda(kubectl: Kubectl) -> bool:
    """Whether the cluster has KEDA's kinds."""
    return find_keda(kubectl.run)


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


def test_drift_of_what_keda_is_given_is_mended_within_five_seconds(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str], has_keda: bool
) -> None:
    if not has_keda:
        pytest.skip("this cluster has no KEDA: there is nothing to mend")
    assert operator.ask("/readyz") == 200
    name = apply(
        "keda-drift", SCALING | {"paused": True, "kafka": {"securityProtocol": "SSL", "secretRef": {"name": "s"}}}
    )
    wait_until(lambda: kubectl.get("scaledobject", name) is not None, what="the ScaledObject")

    def look() -> list[Any]:
        found = [kubectl.get(kind, name) for kind in ("scaledobject", "triggerauthentication")]
        return [one and (one["spec"], _ours(one["metadata"])) for one in found]

    before = look()
    for kind, *edit in [
        ("scaledobject", "patch", "--type=merge", '-p={"spec": {"maxReplicaCount": 99}}'),
        ("scaledobject", "label", "app.kubernetes.io/part-of-"),
        ("scaledobject", "label", "telemetry.iot-hub.io/consumer-"),
        ("scaledobject", "annotate", "autoscaling.keda.sh/paused-"),
        ("scaledobject", "patch", "--type=json", '-p=[{"op": "remove", "path": "/metadata/ownerReferences"}]'),
        ("scaledobject", "delete"),
        ("triggerauthentication", "patch", "--type=merge", '-p={"spec": {"secretTargetRef": []}}'),
        ("triggerauthentication", "label", "telemetry.iot-hub.io/consumer-"),
        ("triggerauthentication", "delete"),
    ]:
        verb, *rest = edit
        if verb == "delete":
            _delete(kubectl, kind, name)
        else:
            kubectl.run(verb, kind, name, *rest)
        wait_until(
            lambda: look() == before,
            timeout=MENDED_SECONDS,
            what=f"kubectl {verb} {kind} {' '.join(rest)} to be mended",
            hint=lambda: str(look()),
        )


def _delete(kubectl: Kubectl, kind: str, name: str) -> None:
    """Return once it is gone, which takes KEDA's time: it has a finalizer. kubectl's own wait may miss that, where
    another one of the name is there at once.
    """
    uid = (kubectl.get(kind, name) or {})["metadata"]["uid"]
    kubectl.run("delete", kind, name, "--wait=false")
    wait_until(
        lambda: (kubectl.get(kind, name) or {"metadata": {}})["metadata"].get("uid") != uid,
        timeout=120,
        what=f"KEDA to let go of the {kind}",
        hint=lambda: str(kubectl.get(kind, name)),
    )


def _ours(metadata: dict[str, Any]) -> tuple[Any, ...]:
    """What of an object's metadata the operator makes: KEDA adds a label and a finalizer of its own."""
    labels = {key: value for key, value in metadata.get("labels", {}).items() if "keda.sh" not in key}
    return labels, metadata.get("ownerReferences"), metadata.get("annotations")
