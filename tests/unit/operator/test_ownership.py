"""Whose a Deployment is, and so what may be done with it."""

from __future__ import annotations

import pytest

from telemetry_operator import naming
from telemetry_operator.facts import DeploymentFact, Owner
from telemetry_operator.ownership import Ownership, judge_ownership
from unit.operator.samples import KEY, UID, consumer, deployment_fact

OURS = naming.object_labels(KEY)


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (deployment_fact(), Ownership.OURS),
        (deployment_fact(deleting=True), Ownership.LEAVING),
        (deployment_fact(owner=None, labels=OURS), Ownership.OURS),
        (deployment_fact(owner=None, labels=OURS, deleting=True), Ownership.LEAVING),
        (deployment_fact(owner=Owner(kind="TelemetryConsumer", name=KEY.name, uid="before")), Ownership.LEAVING),
        (deployment_fact(owner=None, labels={}), Ownership.FOREIGN),
        (deployment_fact(owner=None, labels=naming.object_labels(naming.Key("plant", "other"))), Ownership.FOREIGN),
        (deployment_fact(owner=Owner(kind="Rollout", name=KEY.name, uid="x"), labels=OURS), Ownership.FOREIGN),
        (deployment_fact(owner=Owner(kind="TelemetryConsumer", name="other", uid="x")), Ownership.FOREIGN),
    ],
)
def test_whose_it_is(deployment: DeploymentFact, expected: Ownership) -> None:
    assert consumer().uid == UID
    assert judge_ownership(consumer(), deployment) is expected
