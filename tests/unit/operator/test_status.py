"""Verdicts, and the status that they become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator import status
from telemetry_operator.errors import SpecError
from telemetry_operator.facts import DeploymentFact, PodFact, Problem
from telemetry_operator.status import Outcome, Verdict
from unit.operator.samples import consumer, deployment_fact, pod_fact

NOW = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
LATER = datetime(2026, 2, 20, 22, 46, tzinfo=UTC)
MAY_COME = Problem(reason="TopicNotFound", message="no topic", hopeless=False)
HOPELESS = Problem(reason="HandlerNotFound", message="no class", hopeless=True)
RUNNING = Verdict(Outcome.READY, "Running", "1 of 1 worker is ready")
ROLLING = Verdict(Outcome.RECONCILING, "RollingOut", "0 of 1 worker is ready")


def judge(
    spec: dict[str, Any] | None = None, deployment: DeploymentFact | None = None, pods: tuple[PodFact, ...] = ()
) -> Verdict:
    return status.judge_workload(consumer(spec), deployment or deployment_fact(), "now", lambda: pods)


FAILED = Problem(reason="HandlerFailed", message="boom", hopeless=True, container="preflight")
NO_TOPIC = Problem(reason="TopicNotFound", message="no topic", hopeless=False, container="preflight")
DIED = Problem(reason="Error", message="exit code 1", hopeless=False, container="preflight", last_lines="a\nb")
CRASHED = Problem(reason="Error", message="exit code 1", hopeless=False, container="worker", last_lines="c")
NO_FILE = Verdict(Outcome.RECONCILING, "HandlerConfigMapMissing", "no ConfigMap")


@pytest.mark.parametrize(
    ("pods", "missing", "expected"),
    [
        ((), None, ("Unknown", "NotTried", "no worker with this spec has come as far")),
        ((pod_fact("a", loaded=True),), None, ("True", "HandlerLoaded", "")),
        ((pod_fact("a", CRASHED, loaded=True),), None, ("True", "HandlerLoaded", "")),
        ((pod_fact("a", FAILED),), None, ("False", "HandlerFailed", "boom")),
        ((pod_fact("a", DIED),), None, ("False", "Error", "exit code 1\na\nb")),
        ((pod_fact("a", NO_TOPIC),), None, ("Unknown", "TopicNotFound", "no topic")),
        ((pod_fact("a", FAILED, "before"),), None, ("Unknown", "NotTried", "no worker with this spec has come as far")),
        ((pod_fact("a", loaded=True),), NO_FILE, ("False", "HandlerConfigMapMissing", "no ConfigMap")),
    ],
)
def test_whether_the_handler_works_is_told_by_pods_of_this_spec(
    pods: tuple[PodFact, ...], missing: Verdict | None, expected: tuple[str, str, str]
) -> None:
    condition = status.judge_handler("now", pods, missing)
    assert (condition.type, condition.status, condition.reason, condition.message) == ("HandlerReady", *expected)
    assert status.find_alarms({}, [condition]) == [], "Ready's event says it already"


GROWS = status.Condition("Degraded", "True", "LagGrowing", "m")
CALM = status.Condition("Degraded", "False", "Healthy", "")
UNKNOWN = status.Condition("Degraded", "Unknown", "KafkaUnavailable", "m")
NO_KEDA = status.Condition("AutoscalingReady", "False", "KedaMissing", "m")
SCALES = status.Condition("AutoscalingReady", "True", "Scaling", "m")


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, GROWS, True),
        (None, CALM, False),
        (CALM, GROWS, True),
        (GROWS, GROWS, False),
        (GROWS, status.Condition("Degraded", "True", "DeadLetters", "m"), True),
        (GROWS, CALM, True),
        (GROWS, UNKNOWN, False),
        (UNKNOWN, CALM, False),
        (None, NO_KEDA, True),
        (NO_KEDA, NO_KEDA, False),
        (NO_KEDA, SCALES, True),
        (None, SCALES, False),
    ],
)
def test_events_are_for_what_a_person_should_know(
    before: status.Condition | None, after: status.Condition, news: bool
) -> None:
    told = [{"type": before.type, "status": before.status, "reason": before.reason}] if before is not None else []
    assert status.find_alarms({"conditions": told}, [after]) == ([after] if news else [])


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "Running"),
        ({"replicas": 0}, "ScaledToZero"),
        ({"paused": True}, "Paused"),
        ({"replicas": 0, "paused": True}, "Paused"),
    ],
)
def test_what_is_as_asked_for_is_ready(spec: dict[str, Any], reason: str) -> None:
    workers = consumer(spec).workers
    deployment = deployment_fact(replicas=workers, updated=workers, available=workers, ready=workers)
    verdict = judge(spec, deployment)
    assert (verdict.outcome, verdict.reason) == (Outcome.READY, reason)


@pytest.mark.parametrize(
    "unsettled",
    [
        {"observed_generation": 0},
        {"updated": 0},
        {"available": 0, "ready": 0},
        {"replicas": 2},
    ],
)
def test_what_is_on_the_way_is_reconciling(unsettled: dict[str, int]) -> None:
    verdict = judge(deployment=deployment_fact(**unsettled))
    assert (verdict.outcome, verdict.reason) == (Outcome.RECONCILING, "RollingOut")


def test_stopping_is_on_the_way_too() -> None:
    verdict = judge({"paused": True}, deployment_fact(replicas=2))
    assert (verdict.outcome, verdict.message) == (Outcome.RECONCILING, "stopping, workers left: 2")


def test_a_pod_that_may_still_come_is_reconciling_and_one_that_cant_is_stalled() -> None:
    starting = deployment_fact(available=0, ready=0)
    assert judge(deployment=starting, pods=(pod_fact("a", MAY_COME),)) == Verdict(
        Outcome.RECONCILING, "TopicNotFound", "no topic"
    )
    assert judge(deployment=starting, pods=(pod_fact("a", MAY_COME), pod_fact("b", HOPELESS))) == Verdict(
        Outcome.STALLED, "HandlerNotFound", "no class"
    )


def test_a_pod_of_an_older_template_doesnt_count() -> None:
    verdict = judge(deployment=deployment_fact(updated=0), pods=(pod_fact("old", HOPELESS, config_hash="before"),))
    assert verdict.reason == "RollingOut"


def test_pods_are_not_looked_at_while_all_is_well() -> None:
    def never() -> tuple[PodFact, ...]:
        raise AssertionError("pods were looked at")

    assert status.judge_workload(consumer(), deployment_fact(), "now", never).outcome is Outcome.READY


def test_a_deployment_that_cant_make_pods_says_why() -> None:
    verdict = judge(deployment=deployment_fact(ready=0, available=0, failure=("FailedCreate", "exceeded quota")))
    assert (verdict.outcome, verdict.reason) == (Outcome.RECONCILING, "FailedCreate")
    assert "exceeded quota" in verdict.message


def test_a_wrong_spec_is_stalled_with_its_path() -> None:
    verdict = status.judge_spec_error(SpecError("spec.startFrom", "write earliest"))
    assert (verdict.outcome, verdict.reason, verdict.message) == (
        Outcome.STALLED,
        "InvalidSpec",
        "spec.startFrom: write earliest",
    )


def build(verdict: Verdict, previous: dict[str, Any] | None = None, now: datetime = NOW) -> dict[str, Any]:
    return status.build_status(
        previous or {}, 4, verdict, now, consumer=consumer(), image="i:1", deployment=deployment_fact()
    )


def test_the_whole_status() -> None:
    assert build(RUNNING) == {
        "observedGeneration": 4,
        "replicas": 1,
        "readyReplicas": 1,
        "groupId": "plant.raw-logger",
        "selector": "app.kubernetes.io/name=telemetry-consumer,telemetry.iot-hub.io/consumer=raw-logger",
        "image": "i:1",
        "conditions": [
            {
                "type": kind,
                "status": value,
                "observedGeneration": 4,
                "lastTransitionTime": "2026-02-20T22:45:00Z",
                "reason": reason,
                "message": message,
            }
            for kind, value, reason, message in (
                ("Ready", "True", "Running", "1 of 1 worker is ready"),
                ("Reconciling", "False", "NotReconciling", ""),
                ("Stalled", "False", "NotStalled", ""),
            )
        ],
    }


@given(
    outcome=st.sampled_from(list(Outcome)),
    reason=st.from_regex(r"[A-Z][A-Za-z]{0,40}", fullmatch=True),
    message=st.text(max_size=6000),
)
def test_exactly_one_condition_is_true_and_each_is_one_that_the_crd_takes(
    outcome: Outcome, reason: str, message: str
) -> None:
    conditions = build(Verdict(outcome, reason, message))["conditions"]
    assert [c["type"] for c in conditions if c["status"] == "True"] == [outcome.value]
    for condition in conditions:
        assert 1 <= len(condition["reason"]) <= 1024
        assert len(condition["message"]) <= 32768
    assert conditions[0]["reason"] == reason


def test_a_condition_that_stays_keeps_its_time() -> None:
    before = build(ROLLING)
    after = build(Verdict(Outcome.RECONCILING, "TopicNotFound", "m"), before, LATER)
    assert {c["lastTransitionTime"] for c in after["conditions"]} == {"2026-02-20T22:45:00Z"}
    ready = build(RUNNING, after, LATER)
    assert [c["lastTransitionTime"] for c in ready["conditions"]] == [
        "2026-02-20T22:46:00Z",
        "2026-02-20T22:46:00Z",
        "2026-02-20T22:45:00Z",
    ]


def test_what_a_wrong_spec_hides_is_kept() -> None:
    before = build(RUNNING)
    after = status.build_status(before, 5, Verdict(Outcome.STALLED, "InvalidSpec", "m"), LATER)
    for field in ("groupId", "selector", "image"):
        assert after[field] == before[field]
    assert (after["observedGeneration"], after["replicas"]) == (5, 0)


def test_only_what_changed_is_written() -> None:
    before = build(RUNNING)
    assert status.compute_patch(before, build(RUNNING, before, LATER)) == {}
    assert status.compute_patch(before, {**before, "replicas": 3}) == {"replicas": 3}
    assert status.compute_patch({}, before) == before


@pytest.mark.parametrize(
    ("previous", "verdict", "news"),
    [
        ({}, RUNNING, True),
        (build(RUNNING), RUNNING, False),
        (build(ROLLING), Verdict(Outcome.RECONCILING, "RollingOut", "another message"), False),
        (build(ROLLING), Verdict(Outcome.STALLED, "HandlerNotFound", "m"), True),
        (build(RUNNING), Verdict(Outcome.READY, "Paused", "m"), True),
        (build(ROLLING), RUNNING, True),
    ],
)
def test_news_is_another_state_or_another_reason(previous: dict[str, Any], verdict: Verdict, news: bool) -> None:
    assert status.find_transition(previous, verdict) is news
