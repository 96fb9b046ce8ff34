"""What of a group goes into the status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from telemetry_operator.group_status import build_numbers, is_worth_telling, judge_group
from telemetry_operator.groups import build_reading
from telemetry_operator.kafka.facts import DeadLetters, GroupView, KafkaFacts, Look, Member, Trouble
from telemetry_operator.naming import Key
from telemetry_operator.status import Condition
from unit.operator.kafka_samples import AT, facts_of
from unit.operator.samples import consumer

AWAY = Look(facts=None, trouble=Trouble(reason="KafkaUnavailable", message="kafka:9092 gives no answer", since=AT))
NOT_YET = Look(facts=None, trouble=Trouble(reason="KafkaNotAskedYet", message="not yet", since=AT))
LETTERS = DeadLetters(count=3, last_reason="bad_ts", last_at=AT, since=AT, skipped=0)


def facts(**changes: Any) -> KafkaFacts:
    reading = build_reading(consumer())
    assert reading is not None
    return facts_of(reading, **changes)


def look(**changes: Any) -> Look:
    return Look(facts=facts(**changes), trouble=None)


def judge(
    seen: Look,
    spec: dict[str, Any] | None = None,
    previous: dict[str, Any] | None = None,
    rivals: tuple[Key, ...] = (),
    pods: tuple[str, ...] = (),
) -> dict[str, tuple[str, str]]:
    found = judge_group(consumer(spec), seen, rivals=rivals, pods=pods, previous=previous or {})
    return {condition.type: (condition.status, condition.reason) for condition in found}


def previous_of(condition: Condition, **more: Any) -> dict[str, Any]:
    told = {"type": condition.type, "status": condition.status, "reason": condition.reason, "message": "m"}
    return {"conditions": [told], **more}


GROWING = previous_of(Condition("Degraded", "True", "LagGrowing", "m"))


def test_numbers_are_kafkas() -> None:
    seen = look(lag=1200, drain_seconds=60, dead_letters=LETTERS)
    assert build_numbers({}, seen) == {
        "partitions": 6,
        "lag": 1200,
        "lagObservedAt": "2026-02-20T22:45:00Z",
        "drainSeconds": 60,
        "deadLettered": {"count": 3, "lastReason": "bad_ts", "lastTime": "2026-02-20T22:45:00Z"},
    }


def test_what_is_not_known_any_more_is_taken_away_but_not_by_a_start_of_the_operator() -> None:
    before = {"lag": 7, "lagObservedAt": "2026-02-20T22:44:00Z", "partitions": 6}
    assert build_numbers(before, AWAY) == {"lag": None, "lagObservedAt": None, "drainSeconds": None}
    kept = build_numbers(before, NOT_YET)
    assert {name: value for name, value in kept.items() if value is not None} == before


@pytest.mark.parametrize(
    ("previous", "patch", "worth"),
    [
        ({"lag": 7}, {"lag": 8, "lagObservedAt": "x"}, False),
        ({"lag": 7}, {"lag": 0}, True),
        ({"lag": 0}, {"lag": 5}, True),
        ({}, {"lag": 0}, True),
        ({"lag": 7}, {"lag": None}, True),
        ({"lag": 7}, {"lag": 8, "conditions": []}, True),
        ({"lag": 7}, {"deadLettered": {"count": 1}}, False),
    ],
)
def test_numbers_that_only_go_on_are_not_worth_a_call(
    previous: dict[str, Any], patch: dict[str, Any], worth: bool
) -> None:
    assert is_worth_telling(previous, patch) is worth


def test_all_is_well() -> None:
    assert judge(look()) == {
        "Degraded": ("False", "Healthy"),
        "ReplicasExceedPartitions": ("False", "EveryWorkerHasWork"),
        "ConsumerGroupConflict": ("False", "NoConflict"),
    }


@pytest.mark.parametrize(
    ("spec", "changes", "expected"),
    [
        ({"replicas": 6}, {}, ("False", "EveryWorkerHasWork")),
        ({"replicas": 7}, {}, ("True", "WorkersStandBy")),
        ({"replicas": 7, "paused": True}, {}, ("False", "EveryWorkerHasWork")),
        ({"replicas": 7}, {"missing_topics": ("telemetry.raw",), "partitions": {}}, ("Unknown", "TopicNotFound")),
    ],
)
def test_replicas_that_exceed_the_partitions(
    spec: dict[str, Any], changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert judge(look(**changes), spec)["ReplicasExceedPartitions"] == expected


def test_rivals_and_strangers_are_a_conflict_and_ones_own_old_pods_are_not() -> None:
    member = Member(client_id="raw-logger-old", host="/10.0.0.1", topics=frozenset({"other"}), partitions=1)
    seen = look(group=GroupView(state="Stable", members=(member,)))
    kind = "ConsumerGroupConflict"
    assert judge(seen)[kind] == ("True", "StrangeMembers")
    assert judge(seen, pods=("raw-logger-old",))[kind] == ("False", "NoConflict")
    assert judge(look(), rivals=(Key("plant", "other"),))[kind] == ("True", "OtherTopics")
    assert judge(AWAY, rivals=(Key("plant", "other"),))[kind] == ("True", "OtherTopics")


@pytest.mark.parametrize(
    ("lag", "slope", "previous", "expected"),
    [
        (5000, 10.0, {}, ("True", "LagGrowing")),
        (900, 10.0, {}, ("False", "Healthy")),
        (5000, 0.5, {}, ("False", "Healthy")),
        (5000, None, {}, ("False", "Healthy")),
        (900, 0.5, GROWING, ("True", "LagGrowing")),
        (5000, None, GROWING, ("True", "LagGrowing")),
        (499, 10.0, GROWING, ("False", "Healthy")),
        (5000, -1.0, GROWING, ("False", "Healthy")),
    ],
)
def test_a_lag_that_grows_degrades_with_hysteresis(
    lag: int, slope: float | None, previous: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert judge(look(lag=lag, lag_slope=slope), previous=previous)["Degraded"] == expected


def test_a_lag_that_grows_while_nobody_is_to_work_is_no_fault() -> None:
    assert judge(look(lag=5000, lag_slope=10.0), {"paused": True})["Degraded"] == ("False", "NotAtWork")


@pytest.mark.parametrize(
    ("more", "seconds", "was_many", "expected"),
    [
        (10, 60, False, True),
        (9, 60, False, False),
        (9, 60, True, True),
        (1, 60, True, True),
        (0, 60, True, False),
        (50, 10, False, False),
        (0, 10, True, True),
    ],
)
def test_many_dead_letters_degrade_with_hysteresis(more: int, seconds: int, was_many: bool, expected: bool) -> None:
    now = AT + timedelta(seconds=seconds)
    was = Condition("Degraded", "True" if was_many else "False", "DeadLetters" if was_many else "Healthy", "")
    previous = previous_of(was, lagObservedAt="2026-02-20T22:45:00Z", deadLettered={"count": 3})
    letters = DeadLetters(count=3 + more, last_reason="bad_ts", last_at=now, since=AT, skipped=0)
    degraded = judge(look(observed_at=now, dead_letters=letters), previous=previous)["Degraded"]
    assert degraded == (("True", "DeadLetters") if expected else ("False", "Healthy"))


def test_a_kafka_that_is_away_makes_it_unknown_and_a_start_of_the_operator_changes_nothing() -> None:
    assert set(judge(AWAY).values()) == {("Unknown", "KafkaUnavailable")}
    assert judge(NOT_YET) == {}
    assert judge(NOT_YET, previous=GROWING) == {"Degraded": ("True", "LagGrowing")}
