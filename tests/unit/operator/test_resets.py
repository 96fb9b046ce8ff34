"""An explicit reset: what the annotation asks for, and what the status says of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from telemetry_operator import naming
from telemetry_operator.kafka.errors import GROUP_HAS_MEMBERS, NOT_ALLOWED, UNAVAILABLE, KafkaAway, KafkaProblem
from telemetry_operator.kafka.targets import Reset, Shift
from telemetry_operator.resets import (
    PATIENCE,
    ResetStatus,
    State,
    find_underway,
    judge_answer,
    judge_waiting,
    make_token,
    parse_reset,
    read_reset,
    take_up,
)
from telemetry_operator.spec import Consumer
from unit.operator.kafka_samples import AT
from unit.operator.samples import UID, consumer

SEEN: dict[str, Any] = {"observedGeneration": 1}
"""The status of one that the operator has seen before."""


def asking(value: str | None, spec: dict[str, Any] | None = None) -> Consumer:
    annotations = {} if value is None else {naming.ANNOTATION_RESET: value}
    return consumer(spec, annotations=annotations)


def step(value: str | None, status: dict[str, Any], spec: dict[str, Any] | None = None) -> ResetStatus | None:
    return take_up(asking(value, spec), status, AT, reachable=True)


def after(reset: ResetStatus | None) -> dict[str, Any]:
    """The status once it was written."""
    assert reset is not None
    return SEEN | {"offsetsReset": reset.to_status()}


def underway(value: str = "earliest") -> ResetStatus:
    reset = step(value, SEEN)
    assert reset is not None
    assert reset.state is State.UNDERWAY
    return reset


def test_without_the_annotation_nothing_is_said() -> None:
    assert step(None, SEEN) is None
    assert step("", SEEN) is None


def test_a_value_is_taken_up_once() -> None:
    reset = underway()
    assert (reset.requested, reset.since) == ("earliest", "2026-02-20T22:45:00Z")
    assert read_reset(after(reset)) == reset
    assert step("earliest", after(reset)) is None
    assert find_underway(asking("earliest"), after(reset)) == reset
    done = judge_answer(reset, Reset("g", {}, {}, done_before=False), AT)
    assert step("earliest", after(done)) is None
    assert find_underway(asking("earliest"), after(done)) is None


@pytest.mark.parametrize("value", ["latest", "earliest@2", "earliest@2026-02-20T22:45:00Z"])
def test_another_value_is_another_reset(value: str) -> None:
    done = judge_answer(underway(), Reset("g", {}, {}, done_before=False), AT)
    again = step(value, after(done))
    assert again is not None
    assert (again.requested, again.state, again.moved) == (value, State.UNDERWAY, None)
    assert find_underway(asking(value), after(done)) is None


def test_the_same_value_counts_anew_once_it_was_gone() -> None:
    done = judge_answer(underway(), Reset("g", {("t", 0): 5}, {("t", 0): 0}, done_before=False), AT)
    gone = step(None, after(done))
    assert gone is not None
    assert (gone.requested, gone.state, gone.moved) == (None, State.DONE, -5), "what was done stays to be read"
    assert step(None, after(gone)) is None
    again = step("earliest", after(gone))
    assert again is not None
    assert again.state is State.UNDERWAY


def test_one_that_is_taken_back_is_not_done() -> None:
    back = step(None, after(underway()))
    assert back is not None
    assert (back.requested, back.state) == (None, State.REFUSED)
    assert find_underway(asking(None), after(back)) is None


@pytest.mark.parametrize(
    ("value", "target"),
    [("earliest", "earliest"), ("latest@x", "latest"), ("-1000", Shift(-1000)), ("+10@now", Shift(10))],
)
def test_what_follows_the_at_sign_only_tells_two_apart(value: str, target: object) -> None:
    assert parse_reset(value) == target


@pytest.mark.parametrize(
    ("value", "spec", "words"),
    [
        ("beginning", {}, "'beginning' is no place in a topic: write earliest"),
        ("2026-02-31T00:00:00Z", {}, "no time that ever was"),
        ("@2", {}, "no place in a topic"),
        ("x" * 5000, {}, "no place in a topic"),
        ("earliest", {"kafka": {"bootstrapServers": "other:9092"}}, "does not reach this Kafka"),
    ],
    ids=["no word", "no time", "nothing", "long", "another Kafka"],
)
def test_what_cant_be_is_refused_and_told(value: str, spec: dict[str, Any], words: str) -> None:
    reset = step(value, SEEN, spec)
    assert reset is not None
    assert reset.state is State.REFUSED
    assert words in reset.message
    assert len(reset.requested or "") <= 200
    assert step(value, after(reset), spec) is None, "told once"


def test_without_anybody_who_asks_kafka_it_is_refused() -> None:
    reset = take_up(asking("earliest"), SEEN, AT, reachable=False)
    assert reset is not None
    assert reset.state is State.REFUSED


def test_one_that_was_there_from_the_beginning_moves_nothing() -> None:
    """Given a manifest with the annotation, when it makes a TelemetryConsumer anew, then its group stays."""
    reset = step("earliest", {})
    assert reset is not None
    assert reset.state is State.REFUSED
    assert "was there when the TelemetryConsumer was made" in reset.message


def test_its_token_is_its_own() -> None:
    one = make_token(asking("-1"), underway("-1"))
    assert one == make_token(asking("-1"), underway("-1"))
    later = take_up(asking("-1"), SEEN, AT + timedelta(seconds=1), reachable=True)
    assert later is not None
    others = {make_token(asking("-1"), later), make_token(asking("-2"), underway("-2"))}
    elsewhere = consumer(uid=UID.replace("1", "2"), annotations={naming.ANNOTATION_RESET: "-1"})
    assert len({one, *others, make_token(elsewhere, underway("-1"))}) == 4


@pytest.mark.parametrize(
    ("before", "after_it", "moved", "words"),
    [
        ({0: 10, 1: 4}, {0: 0, 1: 0}, -14, "group g moved to earliest in each of 2 partitions: 14 messages back"),
        ({0: 10}, {0: 12}, 2, "in 1 partition: 2 messages on"),
        ({0: None}, {0: 12}, 0, "where it was"),
    ],
)
def test_what_was_done_is_said(before: dict[int, int | None], after_it: dict[int, int], moved: int, words: str) -> None:
    answer = Reset(
        "g",
        {("t", number): offset for number, offset in before.items()},
        {("t", number): offset for number, offset in after_it.items()},
        done_before=False,
    )
    done = judge_answer(underway("earliest@1"), answer, AT)
    assert (done.state, done.moved, done.event) == (State.DONE, moved, "OffsetsReset")
    assert words in done.message


def test_a_shift_leads_to_no_place() -> None:
    done = judge_answer(underway("-5"), Reset("g", {("t", 0): 9}, {("t", 0): 4}, done_before=False), AT)
    assert done.message == "group g moved by -5 in 1 partition: 5 messages back"


@pytest.mark.parametrize(
    "answer",
    [KafkaAway(UNAVAILABLE, "no answer"), KafkaProblem(GROUP_HAS_MEMBERS, "group g has members")],
    ids=["away", "members"],
)
def test_what_may_pass_is_waited_for_and_not_for_ever(answer: KafkaProblem) -> None:
    waiting = judge_answer(underway(), answer, AT + PATIENCE)
    assert (waiting.state, waiting.event) == (State.UNDERWAY, None)
    given_up = judge_answer(underway(), answer, AT + PATIENCE + timedelta(seconds=1))
    assert (given_up.state, given_up.event) == (State.REFUSED, "OffsetsResetRefused")
    assert given_up.message.startswith("given up after 3 minutes: ")


def test_what_kafka_is_asked_for_is_not_given_up_before_it_answers() -> None:
    """Given an operator that was away for long, when it asks again, then what comes of it is told."""
    assert judge_answer(underway(), None, AT + 2 * PATIENCE).state is State.UNDERWAY
    done = judge_answer(underway(), Reset("g", {}, {}, done_before=True), AT + 2 * PATIENCE)
    assert done.state is State.DONE


def test_what_wont_pass_is_refused_at_once() -> None:
    refused = judge_answer(underway(), KafkaProblem(NOT_ALLOWED, "the operator may not alter group g"), AT)
    assert refused.state is State.REFUSED
    assert refused.message == (
        "the operator may not alter group g; write another value, for example earliest@2, to ask anew"
    )


def test_workers_that_do_not_go_are_named() -> None:
    assert judge_waiting(underway(), ["w-2", "w-1"], AT).message == "waits until the workers are gone: w-1, w-2"
    assert judge_waiting(underway(), [], AT + 2 * PATIENCE).state is State.REFUSED
