"""The cluster changes under the operator: its CRD, a namespace that goes and comes back, and everything at once."""

from __future__ import annotations

import json

import pytest

from contract.cluster import apply_crds, make_namespace
from contract.kubectl import Kubectl
from contract.rights import grant
from operator_faults.stage import MakeStage, Stage, drop_namespace, number
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

CRD = "telemetryconsumers.telemetry.iot-hub.io"
MANY = 100


def test_the_crd_is_updated_under_it(stage: Stage) -> None:
    """Given another schema, which makes the API server serve the kind anew, then the watch is there again."""
    edited = number("edited", 5)
    stage.write(edited)
    stage.converge()
    before = stage.look().generations()

    place = "/spec/versions/0/schema/openAPIV3Schema/description"
    patch = [{"op": "add", "path": place, "value": "A consumer, in other words."}]
    try:
        stage.kubectl.run("patch", "crd", CRD, "--type=json", "-p", json.dumps(patch))
        stage.write(edited, attempts=7)
        stage.converge()
    finally:
        apply_crds(stage.kubectl.kubeconfig)
    stage.write(number("new", 5))
    stage.converge()

    now = stage.look().generations()
    assert {name: now[name] for name in edited} == {name: before[name] + 1 for name in edited}


def test_a_hundred_change_at_once(stage: Stage) -> None:
    names = number("many", MANY)
    stage.write(names)
    stage.converge(settle=False)
    before = stage.look().generations()
    stage.write(names, attempts=7)
    stage.converge()
    now = stage.look().generations()
    assert {name: now[name] for name in names} == {name: before[name] + 1 for name in names}, "each is written once"


def test_a_namespace_that_goes_and_comes_back(make_stage: MakeStage, kubeconfig: str) -> None:
    """Given two namespaces, when one goes with its rights, then it goes soon, and the other is served as before."""
    going = make_namespace("operator-faults", kubeconfig)
    try:
        stage = make_stage(going.namespace)
        grant(going, account_in=stage.kubectl.namespace)
        other = Stage(stage.title, going, stage.proxy, stage.operator)
        stage.operator.start()
        stage.write(number("stays", 5))
        other.write(number("goes", 5))
        stage.converge()
        other.converge()
        lines = len(list(stage.complaints()))

        going.run("delete", "namespace", going.namespace, "--timeout=30s")
        stage.write(number("stays", 5), attempts=7)
        stage.converge(within=5)
        stage.endure(5)
        assert len(list(stage.complaints())) - lines <= 20, "it says so, and does not say it again and again"

        # A start with a namespace missing is no other matter.
        assert stage.operator.process.stop(timeout=20) == 0
        stage.write(number("stays", 5), attempts=8)
        stage.operator.start()
        stage.converge()

        come_back(going)
        grant(going, account_in=stage.kubectl.namespace)
        other.wanted.clear()
        other.write(number("again", 3))
        other.converge(within=90)
        stage.end()
    finally:
        drop_namespace(going)


def come_back(kubectl: Kubectl) -> None:
    """Make a namespace again that was deleted."""
    wait_until(lambda: kubectl.get("namespace", kubectl.namespace) is None, what="the namespace to be gone")
    kubectl.run("create", "namespace", kubectl.namespace)
