"""Moving a group's offsets: where a new one begins, and an explicit reset. Kafka takes neither while it has members."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from confluent_kafka import KafkaError

from telemetry_operator.kafka.client import Committed, Kafka
from telemetry_operator.kafka.errors import (
    GROUP_HAS_MEMBERS,
    NO_OFFSETS,
    OFFSETS_UNKNOWN,
    TOPIC_NOT_FOUND,
    KafkaProblem,
    OffsetsRefused,
)
from telemetry_operator.kafka.explain import explain
from telemetry_operator.kafka.facts import Place, StartFrom
from telemetry_operator.kafka.lag import Span
from telemetry_operator.kafka.targets import Reset, Target, compute_offsets

_AT_WORK = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.NON_EMPTY_GROUP,
    }
)
"""How Kafka says that offsets can't be set from outside, since the group has members."""

_TOKEN_CHARACTERS = 200

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Start:
    """A group without offsets, what is to be read in it, and where it is to begin."""

    group: str
    places: frozenset[Place]
    start_from: StartFrom


def commit_starts(
    kafka: Kafka, starts: Sequence[Start], spans: Mapping[Place, Span]
) -> dict[str, dict[Place, Committed]]:
    """Commit where groups begin, and return what was committed. Nothing that a group has is ever written over.

    ``spans`` must have been read before this is called. Then whoever else commits the beginning of the same group
    meanwhile (its first worker does) can't have begun before us: at worst the group begins a moment earlier, and no
    message is skipped. Groups with members are left alone; partitions that could not tell their offsets, until the
    next pass.
    """
    # 1. Once more, now that the ends are known: groups that have begun since are none of our business.
    committed = kafka.read_committed({start.group for start in starts})
    wanted: dict[str, dict[Place, Committed]] = {}
    for start in starts:
        known = committed[start.group]
        if isinstance(known, KafkaProblem):
            continue
        # 2. As the workers' own preflight has it: a group that has begun takes a new partition from its start.
        begun = any(place in known for place in start.places)
        missing = [place for place in start.places if place not in known and place in spans]
        try:
            offsets = _find_offsets(kafka, "earliest" if begun else start.start_from, missing, spans, {})
        except KafkaProblem as problem:
            log.warning("starting offsets not found, tried again later", group=start.group, problem=str(problem))
            continue
        wanted.setdefault(start.group, {}).update({place: Committed(offset, "") for place, offset in offsets.items()})
    # 3. Only an empty group takes them.
    done: dict[str, dict[Place, Committed]] = {}
    for group, answer in kafka.commit_offsets({group: own for group, own in wanted.items() if own}).items():
        if isinstance(answer, KafkaProblem):
            log.warning("starting offsets not committed, tried again later", group=group, problem=str(answer))
            continue
        refusals = {error.code() for error in answer.values() if error is not None}
        done[group] = {place: wanted[group][place] for place, error in answer.items() if error is None}
        if refusals & _AT_WORK:
            log.info("group is at work, its starting offsets are left to it", group=group)
        elif refusals:
            log.warning("starting offsets not committed, tried again later", group=group, codes=sorted(refusals))
        else:
            log.info("starting offsets committed", group=group, partitions=len(done[group]))
    return done


def reset_offsets(kafka: Kafka, group: str, topics: Collection[str], target: Target, token: str) -> Reset:
    """Move ``group`` to ``target`` in every partition of ``topics``, in which it must have no member.

    ``token``, 1 to 200 characters, names this reset: it stands beside the offsets until a worker commits its own, so
    that the same reset, asked for again since nobody knows whether it was done (KafkaAway), is done once. That matters
    for a shift.

    Raises OffsetsRefused, where nothing was changed, KafkaAway, where that is unknown, or another KafkaProblem.
    """
    if not 0 < len(token) <= _TOKEN_CHARACTERS:
        raise ValueError(f"a reset needs a name of 1 to {_TOKEN_CHARACTERS} characters")
    # 1. What is there to read, and who reads it?
    known_topics = kafka.read_topics()
    missing = sorted(topic for topic in topics if topic not in known_topics)
    if missing:
        raise OffsetsRefused(TOPIC_NOT_FOUND, f"not in Kafka at {kafka.address}: {', '.join(missing)}")
    places = [(topic, number) for topic in sorted(topics) for number in known_topics[topic]]
    described = kafka.describe_groups([group])[group]
    if isinstance(described, KafkaProblem):
        raise described
    if described.members:
        raise _refuse_members(group, (member.client_id for member in described.members))
    # 2. Was it done already?
    committed = kafka.read_committed([group])[group]
    if isinstance(committed, KafkaProblem):
        raise committed
    before = {place: committed[place].offset if place in committed else None for place in places}
    marked = {place: mark.offset for place, mark in committed.items() if place in before and mark.text == token}
    if marked and marked.keys() >= {place for place, offset in before.items() if offset is not None}:
        return Reset(group, before, marked, done_before=True)
    # 3. Where to, and there. Those that bear the token already were moved by a try that Kafka took in part.
    spans = kafka.read_spans(places)
    unknown = [f"{topic}[{number}]" for topic, number in places if (topic, number) not in spans]
    if unknown:
        raise OffsetsRefused(OFFSETS_UNKNOWN, f"these partitions don't tell what they hold now: {', '.join(unknown)}")
    left = [place for place in places if place not in marked]
    own = {place: mark.offset for place, mark in committed.items()}
    offsets = _find_offsets(kafka, target, left, spans, own)
    if not offsets and not marked:
        raise OffsetsRefused(NO_OFFSETS, f"group {group} has no offsets in {', '.join(sorted(topics))} to shift")
    wanted = {place: Committed(offset, token) for place, offset in offsets.items()}
    answer = kafka.commit_offsets({group: wanted})[group]
    if isinstance(answer, KafkaProblem):
        raise answer
    # 4. A member that came meanwhile makes Kafka refuse.
    errors = [error for error in answer.values() if error is not None]
    if any(error.code() in _AT_WORK for error in errors):
        raise _refuse_members(group, ())
    if errors:
        raise explain(errors[0], kafka.address, f"the offsets of group {group}")
    log.info("offsets reset", group=group, partitions=len(wanted), token=token)
    return Reset(group, before, marked | offsets, done_before=False)


def _find_offsets(
    kafka: Kafka, target: Target, places: Collection[Place], spans: Mapping[Place, Span], committed: Mapping[Place, int]
) -> dict[Place, int]:
    times: Mapping[Place, int] = {}
    if isinstance(target, datetime):
        times = kafka.find_times(places, int(target.timestamp() * 1000))
    return compute_offsets(target, places, spans, committed=committed, times=times)


def _refuse_members(group: str, names: Iterable[str]) -> OffsetsRefused:
    who = ", ".join(list(dict.fromkeys(names))[:5])
    return OffsetsRefused(
        GROUP_HAS_MEMBERS,
        f"group {group} has members{f' ({who})' if who else ''}: Kafka moves the offsets of an empty group only; write "
        "paused: true and wait until its workers are gone",
    )
