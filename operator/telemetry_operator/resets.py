"""Moving a group on purpose: what the annotation asks for, what the status says of it, and what it comes to. Pure.

``telemetry.iot-hub.io/reset-offsets: earliest``, ``latest``, a time or a shift such as ``-1000`` moves the group, once.
Kafka moves an empty group only, so the workers are stopped for it and come back afterwards; whoever has paused the
TelemetryConsumer finds it paused still. The status has the value that was asked for, so that it is not done again: not
by the next reconcile, not by the next operator. Whatever follows an ``@`` makes another value of it.

Asked for → *Underway* → *Done*, or *Refused* with the reason; nothing was moved then, unless the reason says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from telemetry_operator import naming
from telemetry_operator.kafka.errors import KafkaProblem
from telemetry_operator.kafka.targets import Reset, Shift, Target, parse_target
from telemetry_operator.objects.deployment import compute_hash
from telemetry_operator.spec import Consumer
from telemetry_operator.status import format_time

PATIENCE = timedelta(minutes=3)
"""How long workers stay away for it. They have a minute to finish what is in hand, Kafka notices one that was killed
after 45 s, and half a minute may lie between two tries."""

OFFSETS_RESET = "OffsetsReset"
OFFSETS_RESET_REFUSED = "OffsetsResetRefused"

_NEW_VALUE = "write another value, for example earliest@2, to ask anew"
_MESSAGE_CHARACTERS = 1000


class State(Enum):
    """How far a reset is."""

    UNDERWAY = "Underway"
    DONE = "Done"
    REFUSED = "Refused"


@dataclass(frozen=True, kw_only=True)
class ResetStatus:
    """``status.offsetsReset``."""

    requested: str | None
    """The annotation's value; None once the annotation is gone."""
    state: State
    since: str
    message: str
    moved: int | None = None

    def to_status(self) -> dict[str, Any]:
        """Return the field, every part of it: in a merge patch, what is None goes."""
        return {
            "requested": self.requested,
            "state": self.state.value,
            "since": self.since,
            "message": self.message,
            "moved": self.moved,
        }

    @property
    def event(self) -> str | None:
        """The reason of its Event; None where another one tells it."""
        return {State.DONE: OFFSETS_RESET, State.REFUSED: OFFSETS_RESET_REFUSED}.get(self.state)


def read_reset(status: Mapping[str, Any]) -> ResetStatus | None:
    """Return what the status says of a reset, None where there was none yet."""
    found = status.get("offsetsReset")
    if not found:
        return None
    return ResetStatus(
        requested=found.get("requested"),
        state=State(found["state"]),
        since=found["since"],
        message=found.get("message", ""),
        moved=found.get("moved"),
    )


def parse_reset(asked: str) -> Target:
    """Return where a reset is to lead, from the annotation's value. Raises ValueError that says what to write."""
    return parse_target(asked.partition("@")[0])


def take_up(consumer: Consumer, previous: Mapping[str, Any], now: datetime, *, reachable: bool) -> ResetStatus | None:
    """Return what the status is to say of the annotation as it is now, None where it says so already.

    ``reachable`` is whether the operator asks a Kafka at all.
    """
    known, asked = read_reset(previous), consumer.reset
    if asked is None:
        if known is None or known.requested is None:
            return None
        if known.state is State.UNDERWAY:
            known = replace(known, state=State.REFUSED, message="the annotation was taken away before it was done")
        return replace(known, requested=None)
    if known is not None and known.requested == asked:
        return None
    at = format_time(now)
    problem = _find_problem(consumer, previous, asked, reachable=reachable)
    if problem is not None:
        return ResetStatus(requested=asked, state=State.REFUSED, since=at, message=problem)
    message = "the workers are stopped, the group is moved, and they come back"
    return ResetStatus(requested=asked, state=State.UNDERWAY, since=at, message=message)


def find_underway(consumer: Consumer, previous: Mapping[str, Any]) -> ResetStatus | None:
    """Return the reset that is under way, None where none is."""
    known = read_reset(previous)
    underway = known is not None and known.state is State.UNDERWAY and known.requested == consumer.reset
    return known if underway else None


def make_token(consumer: Consumer, underway: ResetStatus) -> str:
    """Return the name of this one reset: the same after a restart of the operator, another for each that is asked."""
    return compute_hash([consumer.uid, underway.requested, underway.since])


def judge_answer(underway: ResetStatus, answer: Reset | KafkaProblem | None, now: datetime) -> ResetStatus:
    """Return how the reset stands after Kafka was asked; None means that it has not answered yet.

    What Kafka may do in a while (it is away, or has not noticed that a worker is gone) is waited for.
    """
    if isinstance(answer, Reset):
        return replace(
            underway, state=State.DONE, since=format_time(now), moved=answer.moved, message=_describe(answer, underway)
        )
    if answer is None:
        # Not given up, however long ago it was asked for: it may be done in this moment, and the answer will come.
        return replace(underway, message="the workers are gone, and Kafka is asked to move the group")
    if answer.may_pass:
        return _note(underway, answer.message, now)
    return _refuse(underway, answer.message, now)


def judge_waiting(underway: ResetStatus, pods: Collection[str], now: datetime) -> ResetStatus:
    """Return how the reset stands while ``pods`` are still to go, none where the Deployment is to say so yet."""
    names = f": {', '.join(sorted(pods)[:5])}" if pods else ""
    return _note(underway, f"waits until the workers are gone{names}", now)


def _find_problem(consumer: Consumer, previous: Mapping[str, Any], asked: str, *, reachable: bool) -> str | None:
    try:
        parse_reset(asked)
    except ValueError as error:
        return str(error)
    own = consumer.spec.kafka
    if not reachable or (own is not None and own.bootstrap_servers is not None):
        return "the operator does not reach this Kafka: pause the TelemetryConsumer, and use kafka-consumer-groups.sh"
    if "observedGeneration" not in previous:
        # In a manifest that is applied anew years later, it would move a group that nobody thinks of.
        return f"{naming.ANNOTATION_RESET} was there when the TelemetryConsumer was made: {_NEW_VALUE}"
    return None


def _note(underway: ResetStatus, message: str, now: datetime) -> ResetStatus:
    if now - datetime.fromisoformat(underway.since) > PATIENCE:
        return _refuse(underway, f"given up after {PATIENCE.seconds // 60} minutes: {message}", now)
    return replace(underway, message=message[:_MESSAGE_CHARACTERS])


def _refuse(underway: ResetStatus, why: str, now: datetime) -> ResetStatus:
    message = f"{why[:_MESSAGE_CHARACTERS]}; {_NEW_VALUE}"
    return replace(underway, state=State.REFUSED, since=format_time(now), message=message)


def _describe(reset: Reset, underway: ResetStatus) -> str:
    where = (underway.requested or "").partition("@")[0]
    whither = f"by {where}" if isinstance(parse_target(where), Shift) else f"to {where}"
    way = f"{abs(reset.moved)} messages {'back' if reset.moved < 0 else 'on'}" if reset.moved else "where it was"
    count = len(reset.after)
    partitions = "1 partition" if count == 1 else f"each of {count} partitions"
    return f"group {reset.group} moved {whither} in {partitions}: {way}"
