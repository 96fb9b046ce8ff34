"""From what Kafka says about a group to fields and conditions of the status. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from telemetry_operator.kafka.errors import NOT_ASKED_YET
from telemetry_operator.kafka.facts import KafkaFacts, Look
from telemetry_operator.kafka.sharing import count_spare_replicas, count_useful_replicas, find_strangers
from telemetry_operator.naming import Key
from telemetry_operator.spec import Consumer
from telemetry_operator.status import Condition, format_time

DEGRADED = "Degraded"
REPLICAS_EXCEED_PARTITIONS = "ReplicasExceedPartitions"
CONSUMER_GROUP_CONFLICT = "ConsumerGroupConflict"

LAG_GROWING = "LagGrowing"
DEAD_LETTERS = "DeadLetters"
HEALTHY = "Healthy"
NOT_AT_WORK = "NotAtWork"

NUMBERS = ("lag", "lagObservedAt", "drainSeconds", "deadLettered")
"""Fields that change all the time, and are written now and then."""

GROWING_LAG = 1000
"""Messages: a lag that grows counts from here on, and no longer below half of it."""
GROWING_SLOPE = 1.0
"""Messages a second by which it grows."""
DEAD_LETTER_RATE = 10.0
"""Dead letters a minute that are too many; below a tenth of it they count no longer."""
_LEAST_RATE_SECONDS = 20.0

_Conditions = Mapping[str, Mapping[str, Any]]


def build_numbers(previous: Mapping[str, Any], look: Look) -> dict[str, Any]:
    """Return the fields that come from Kafka; None takes one away: a number that is not known any more is none."""
    if look.facts is None:
        if look.trouble is not None and look.trouble.reason == NOT_ASKED_YET:
            return {name: previous.get(name) for name in ("partitions", *NUMBERS)}
        return {"lag": None, "lagObservedAt": None, "drainSeconds": None}
    facts = look.facts
    numbers: dict[str, Any] = {
        "partitions": sum(facts.partitions.values()),
        "lag": facts.lag,
        "lagObservedAt": format_time(facts.observed_at),
        "drainSeconds": facts.drain_seconds,
    }
    letters = facts.dead_letters
    if letters is not None:
        told = {
            "count": letters.count,
            "lastReason": letters.last_reason,
            "lastTime": format_time(letters.last_at) if letters.last_at is not None else None,
        }
        numbers["deadLettered"] = {name: value for name, value in told.items() if value is not None}
    return numbers


def is_worth_telling(previous: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    """Return whether ``patch`` says more than that numbers went on, or that a lag came or was worked off."""
    if not set(patch) <= set(NUMBERS):
        return True
    return "lag" in patch and (_is_left(previous.get("lag")) is not _is_left(patch["lag"]))


def judge_group(
    consumer: Consumer,
    look: Look,
    *,
    rivals: Collection[Key],
    pods: Collection[str],
    previous: Mapping[str, Any],
) -> tuple[Condition, ...]:
    """Return the conditions about the group: three of them, or none where there is nothing to say yet.

    ``pods`` are the names of the TelemetryConsumer's own, ``previous`` is the status that stands.
    """
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    facts = look.facts
    if facts is None:
        return tuple(_judge_unknown(look, before, rivals, consumer))
    return (
        _judge_degraded(consumer, facts, previous, before),
        _judge_replicas(consumer, facts),
        _judge_rivals(consumer, rivals) or _judge_strangers(facts, pods),
    )


def _judge_unknown(look: Look, before: _Conditions, rivals: Collection[Key], consumer: Consumer) -> list[Condition]:
    conditions = []
    for kind in (DEGRADED, REPLICAS_EXCEED_PARTITIONS, CONSUMER_GROUP_CONFLICT):
        trouble, was = look.trouble, before.get(kind)
        if kind == CONSUMER_GROUP_CONFLICT and (conflict := _judge_rivals(consumer, rivals)) is not None:
            conditions.append(conflict)
        elif trouble is not None and trouble.reason != NOT_ASKED_YET:
            conditions.append(Condition(kind, "Unknown", trouble.reason, trouble.message))
        elif was is not None:
            # The operator has only just started: what it said before still stands.
            conditions.append(Condition(kind, was["status"], was["reason"], was["message"]))
    return conditions


def _judge_replicas(consumer: Consumer, facts: KafkaFacts) -> Condition:
    useful = count_useful_replicas(facts)
    if useful is None:
        missing = ", ".join(facts.missing_topics)
        return Condition(REPLICAS_EXCEED_PARTITIONS, "Unknown", "TopicNotFound", f"not in Kafka yet: {missing}")
    spare = count_spare_replicas(consumer.workers, facts)
    if spare == 0:
        return Condition(REPLICAS_EXCEED_PARTITIONS, "False", "EveryWorkerHasWork", "")
    message = (
        f"{consumer.workers} workers for {useful} partitions, so {spare} stand by: write replicas: {useful}, or give "
        "the topics more partitions"
    )
    return Condition(REPLICAS_EXCEED_PARTITIONS, "True", "WorkersStandBy", message)


def _judge_rivals(consumer: Consumer, rivals: Collection[Key]) -> Condition | None:
    if not rivals:
        return None
    message = (
        f"the group {consumer.group_id} is also that of {', '.join(map(str, rivals))}, with other topics, and members "
        "of one group share all of its topics: write the same topics, or make one of them anew with another groupId"
    )
    return Condition(CONSUMER_GROUP_CONFLICT, "True", "OtherTopics", message)


def _judge_strangers(facts: KafkaFacts, pods: Collection[str]) -> Condition:
    strangers = find_strangers(facts, pods)
    if not strangers:
        return Condition(CONSUMER_GROUP_CONFLICT, "False", "NoConflict", "")
    names = ", ".join(sorted({f"{member.client_id} ({member.host})" for member in strangers}))
    message = f"members of the group {facts.reading.group} that are not ours read other topics: {names}"
    return Condition(CONSUMER_GROUP_CONFLICT, "True", "StrangeMembers", message)


def _judge_degraded(
    consumer: Consumer, facts: KafkaFacts, previous: Mapping[str, Any], before: _Conditions
) -> Condition:
    """Return whether the group falls behind. What was, counts: a limit that is left is lower than that to get there."""
    was = before.get(DEGRADED, {})
    reason = was.get("reason") if was.get("status") == "True" else None
    if _has_many_dead_letters(facts, previous, was_many=reason == DEAD_LETTERS):
        message = "many messages become dead letters: deadLettered has the last reason, iothub dlq shows them"
        return Condition(DEGRADED, "True", DEAD_LETTERS, message)
    if consumer.workers == 0:
        return Condition(DEGRADED, "False", NOT_AT_WORK, "")
    if _is_growing(facts, was_growing=reason == LAG_GROWING):
        message = "more messages come in than are handled: write more replicas, or see what keeps the handler"
        return Condition(DEGRADED, "True", LAG_GROWING, message)
    return Condition(DEGRADED, "False", HEALTHY, "")


def _is_growing(facts: KafkaFacts, *, was_growing: bool) -> bool:
    lag, slope = facts.lag or 0, facts.lag_slope
    if was_growing:
        return lag >= GROWING_LAG / 2 and (slope is None or slope > 0)
    return lag >= GROWING_LAG and slope is not None and slope >= GROWING_SLOPE


def _has_many_dead_letters(facts: KafkaFacts, previous: Mapping[str, Any], *, was_many: bool) -> bool:
    count_before = (previous.get("deadLettered") or {}).get("count")
    told_at = previous.get("lagObservedAt")
    if facts.dead_letters is None or count_before is None or told_at is None:
        return was_many
    seconds = (facts.observed_at - datetime.fromisoformat(told_at)).total_seconds()
    if seconds < _LEAST_RATE_SECONDS:
        return was_many
    rate = (facts.dead_letters.count - int(count_before)) / seconds * 60
    return rate >= (DEAD_LETTER_RATE / 10 if was_many else DEAD_LETTER_RATE)


def _is_left(lag: int | None) -> bool | None:
    return None if lag is None else lag > 0
