"""Where a group has begun, and what ``startFrom`` is worth from then on. Pure.

Kafka forgets the offsets of a group that has been empty for long. One that comes back is not new: what ``startFrom``
says of a new group would have it pass over what came in meanwhile. So the status remembers that a group has begun, and
from then on it is read from the earliest message that is still there wherever it has no offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from telemetry_operator import naming
from telemetry_operator.kafka.facts import Look
from telemetry_operator.spec import Consumer
from telemetry_operator.status import Condition, format_time

START_FROM_IGNORED = "StartFromIgnored"
GROUP_HAS_BEGUN = "GroupHasBegun"

_EARLIEST = "earliest"

Status = Mapping[str, Any]


def note_beginning(
    consumer: Consumer, previous: Status, look: Look | None, *, ready: int, now: datetime
) -> dict[str, Any]:
    """Return what the status has to say of the group's beginning, nothing where it has not begun or that is said.

    It has begun once Kafka has an offset of it, or a worker, whose preflight sees to one, is ready.
    """
    facts = look.facts if look is not None else None
    if "began" in previous or not (ready or (facts is not None and facts.has_begun)):
        return {}
    return {"began": {"startFrom": consumer.spec.start_from, "at": format_time(now)}}


def take_beginning(consumer: Consumer, previous: Status) -> Consumer:
    """Return ``consumer`` as it is to be run: one whose group has begun starts nowhere but at the earliest message."""
    return consumer.start_from(_EARLIEST) if "began" in previous else consumer


def take_pods_beginning(consumer: Consumer, previous: Status, found: str | None) -> Consumer:
    """Return ``consumer`` as its pods are to be told of it, where those that there may be were told ``found``.

    Once the group has begun it makes no difference to pods at work, which are not replaced for it; those that come
    after all were gone find the earliest message, also where the group's offsets are gone by then.
    """
    began = previous.get("began")
    if began is None:
        return consumer
    keep = consumer.workers > 0 and found not in {None, _EARLIEST}
    return consumer.start_from(began["startFrom"] if keep else _EARLIEST)


def judge_start(consumer: Consumer, previous: Status) -> tuple[Condition, ...]:
    """Return a condition where ``startFrom`` was changed after the group had begun, which moves nothing."""
    began = previous.get("began")
    if began is None or began["startFrom"] == consumer.spec.start_from:
        return ()
    message = (
        f"the group {consumer.group_id} has begun (startFrom: {began['startFrom']}), so startFrom: "
        f"{consumer.spec.start_from} has no effect: to move the group write the annotation {naming.ANNOTATION_RESET}"
    )
    return (Condition(START_FROM_IGNORED, "True", GROUP_HAS_BEGUN, message),)
