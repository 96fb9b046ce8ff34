"""What the operator reports: whatever only the cluster can tell is a condition with a reason, never a crash.

No worker image is needed: pods that never start are something to report. What ready workers do is tried end to end.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from contract.kubectl import Kubectl
from contract.operator_process import Operator, find_condition, wait_for_reason

pytestmark = pytest.mark.cluster


def test_an_image_that_cant_be_had_is_reported(operator: Operator, kubectl: Kubectl, apply: Callable[..., str]) -> None:
    name = apply("no-image")
    ready = wait_for_reason(kubectl, name, "ErrImageNeverPull")
    assert ready["status"] == "False"
    assert "'iot-hub/worker:there-is-none' can't be had" in ready["message"]
    assert find_condition(kubectl, name, "Reconciling")["status"] == "True"
    assert find_condition(kubectl, name, "Stalled")["status"] == "False"
    table = kubectl.run("get", "tc", name, "-o", "wide").splitlines()
    assert re.split(r"\s{2,}", table[0].strip()) == [
        "NAME", "TOPICS", "GROUP", "DESIRED", "READY", "LAG", "DEAD", "STATUS", "AGE", "REASON", "IMAGE",
    ]  # fmt: skip
    for cell in (f"{kubectl.namespace}.{name}", "ErrImageNeverPull", "iot-hub/worker:there-is-none"):
        assert cell in table[1]


def test_an_image_name_that_can_never_be_one_is_stalled(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    name = apply("bad-image", {"image": "UPPER/Case:1"})
    wait_for_reason(kubectl, name, "InvalidImageName")
    assert find_condition(kubectl, name, "Stalled")["status"] == "True"


def test_a_pod_that_no_node_takes_is_reported(operator: Operator, kubectl: Kubectl, apply: Callable[..., str]) -> None:
    name = apply("no-node", {"nodeSelector": {"moon": "dark-side"}})
    assert "no node takes pod" in wait_for_reason(kubectl, name, "Unschedulable")["message"]


def test_a_missing_secret_is_reported_and_waited_for(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    variable = {"name": "KAFKA_SASL_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "password"}}}
    name = apply("no-secret", {"env": [variable], "image": "registry.k8s.io/pause:3.10"})
    assert 'secret "nowhere" not found' in wait_for_reason(kubectl, name, "CreateContainerConfigError")["message"]
    assert find_condition(kubectl, name, "Stalled")["status"] == "False"


def test_a_spec_that_kubernetes_refuses_is_stalled_with_its_words(
    operator: Operator, kubectl: Kubectl, apply: Callable[..., str]
) -> None:
    name = apply("refused", {"nodeSelector": {"not a label": "x"}})
    assert "nodeSelector" in wait_for_reason(kubectl, name, "DeploymentInvalid")["message"]
