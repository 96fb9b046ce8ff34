"""A pod's status, judged by the operator's own reading of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from iothub.hub.pod_status import ContainerStatus, PodStatus, Running, Terminated, Waiting
from telemetry_operator.facts import find_problem

NOW = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
LAST_WORDS = '{"reason": "HandlerNotFound", "message": "there is no module \'x\' in this image"}'


def container(name: str) -> ContainerStatus:
    return ContainerStatus(name, "image", Waiting("PodInitializing"))


def ended(code: int, said: str = "") -> Terminated:
    return Terminated(code, said, NOW, NOW)


def pod() -> PodStatus:
    return PodStatus((container("preflight"),), (container("worker"),))


def body(status: PodStatus) -> dict[str, Any]:
    return {"metadata": {"name": "pod-1"}, "status": status.build()}


def conditions(status: PodStatus) -> dict[str, str]:
    return {one["type"]: one["status"] for one in status.build()["conditions"]}


def test_from_its_making_to_its_work() -> None:
    status = pod()
    assert (status.build()["phase"], find_problem(body(status))) == ("Pending", None)
    status = status.with_container(status.init[0].to(Running(NOW)))
    assert find_problem(body(status)) is None
    status = status.with_container(status.init[0].to(ended(0), ready=True))
    assert conditions(status)["Initialized"] == "True"
    status = status.with_container(status.containers[0].to(Running(NOW), ready=True, started=True))
    assert (status.build()["phase"], find_problem(body(status)), conditions(status)["Ready"]) == (
        "Running",
        None,
        "True",
    )


@pytest.mark.parametrize("waiting_again", [False, True])
def test_a_preflight_that_fails_is_a_problem_with_its_last_words(waiting_again: bool) -> None:
    status = pod()
    status = status.with_container(status.init[0].to(Running(NOW)))
    status = status.with_container(status.init[0].to(ended(78, LAST_WORDS)))
    if waiting_again:
        status = status.with_container(status.init[0].to(Waiting("CrashLoopBackOff", "back-off 2s restarting")))
        status = status.with_container(status.init[0].to(Running(NOW)))
    problem = find_problem(body(status))
    assert problem is not None
    assert (problem.reason, problem.hopeless) == ("HandlerNotFound", True)
    assert problem.message == "there is no module 'x' in this image (pod pod-1, container preflight)"


def test_a_worker_that_was_killed_is_a_problem_until_it_is_ready_again() -> None:
    status = pod()
    status = status.with_container(status.init[0].to(ended(0), ready=True))
    status = status.with_container(status.containers[0].to(Running(NOW), ready=True))
    status = status.with_container(status.containers[0].to(ended(137)))
    problem = find_problem(body(status))
    assert problem is not None
    assert problem.message.startswith("the worker ended with exit code 137: it left no message")
    status = status.with_container(status.containers[0].to(Running(NOW)))
    assert find_problem(body(status)) is not None
    status = status.with_container(status.containers[0].to(Running(NOW), ready=True))
    assert find_problem(body(status)) is None


def test_a_missing_secret_is_a_problem_with_the_kubelets_word() -> None:
    status = pod().with_container(
        container("preflight").to(Waiting("CreateContainerConfigError", 'secret "s" not found'))
    )
    problem = find_problem(body(status))
    assert problem is not None
    assert (problem.reason, problem.hopeless) == ("CreateContainerConfigError", False)
    assert problem.message == 'secret "s" not found (pod pod-1, container preflight)'
