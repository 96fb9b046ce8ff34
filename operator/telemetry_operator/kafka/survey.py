"""One pass over Kafka: from readings to facts.

What it costs grows with the groups: each is asked once for its members and once for its offsets, and every partition
once for what it holds, however many groups read it. All questions of a kind are on their way at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime

import structlog
from confluent_kafka import KafkaException

from telemetry_operator.kafka.client import Committed, Described, Kafka
from telemetry_operator.kafka.drain import LagPoint, add_point, compute_drain_seconds, compute_slope
from telemetry_operator.kafka.errors import KafkaProblem
from telemetry_operator.kafka.explain import explain
from telemetry_operator.kafka.facts import (
    CLASSIC,
    EMPTY,
    NO_GROUP,
    STABLE,
    GroupView,
    KafkaFacts,
    Place,
    Reading,
)
from telemetry_operator.kafka.lag import Span, compute_lag
from telemetry_operator.kafka.offsets import Start, commit_starts
from telemetry_operator.kafka.tail import Tail

Answers = Mapping[Reading, KafkaFacts | KafkaProblem]
"""What came of a pass: facts, or why there are none."""

_MEMBERLESS = frozenset({NO_GROUP, EMPTY})

log = structlog.get_logger(__name__)


class Survey:
    """Asks Kafka about readings; remembers what takes more than one look: slopes, and members over a rebalance."""

    def __init__(self, kafka: Kafka, tail: Tail, *, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._kafka = kafka
        self._tail = tail
        self._now = now
        self._clock = clock
        self._points: dict[Reading, tuple[LagPoint, ...]] = {}
        self._groups: dict[str, GroupView] = {}

    def keep_only(self, readings: frozenset[Reading]) -> None:
        """Forget what is remembered of any other."""
        groups = {reading.group for reading in readings}
        self._points = {reading: points for reading, points in self._points.items() if reading in readings}
        self._groups = {group: view for group, view in self._groups.items() if group in groups}
        self._tail.keep_only(_letter_topics(readings))

    def forget_slopes(self, group: str) -> None:
        """Forget the lags of ``group``: its offsets were moved."""
        self._points = {reading: points for reading, points in self._points.items() if reading.group != group}

    def run(self, readings: Collection[Reading]) -> Answers:
        """Ask Kafka about ``readings``. Raises KafkaAway where it does not answer at all."""
        groups = {reading.group for reading in readings}
        at = self._now()
        # 1. The topics; this also shows whether Kafka is there.
        topics = self._kafka.read_topics()
        # 2. The groups' members. Only a group that answers may be asked for its offsets, see `client`.
        described = self._kafka.describe_groups(groups)
        answering = {group for group, answer in described.items() if isinstance(answer, Described)}
        # 3. Their offsets, and only then the ends: a lag is never negative that way, at most a moment too large.
        committed = self._kafka.read_committed(answering)
        moment = self._clock()
        spans = self._kafka.read_spans(_find_places(readings, topics))
        # 4. Where new groups begin. This comes after the ends were read, and must: see there.
        self._commit_starts(readings, topics, committed, described, spans)
        # 5. Dead letters.
        self._read_letters(readings, topics, spans)
        # 6. All of it, put together.
        answers: dict[Reading, KafkaFacts | KafkaProblem] = {}
        for reading in readings:
            group = described[reading.group]
            if isinstance(group, KafkaProblem):
                answers[reading] = group
            elif isinstance(offsets := committed[reading.group], KafkaProblem):
                answers[reading] = offsets
            else:
                view = self._view_group(reading.group, group, at)
                answers[reading] = self._make_facts(
                    reading, topics, offsets, group=view, spans=spans, at=at, moment=moment
                )
        return answers

    def _commit_starts(
        self,
        readings: Collection[Reading],
        topics: Mapping[str, tuple[int, ...]],
        committed: dict[str, dict[Place, Committed] | KafkaProblem],
        described: Mapping[str, Described | KafkaProblem],
        spans: Mapping[Place, Span],
    ) -> None:
        starts = []
        for reading in readings:
            offsets, group = committed.get(reading.group), described[reading.group]
            if reading.start_from is None or not isinstance(offsets, dict) or not isinstance(group, Described):
                continue
            places = frozenset(_list_places(reading, topics))
            if not group.members and not places <= offsets.keys():
                starts.append(Start(reading.group, places, reading.start_from))
        if not starts:
            return
        for name, done in commit_starts(self._kafka, starts, spans).items():
            offsets = committed[name]
            if not isinstance(offsets, KafkaProblem):
                committed[name] = offsets | done

    def _read_letters(
        self, readings: Collection[Reading], topics: Mapping[str, tuple[int, ...]], spans: Mapping[Place, Span]
    ) -> None:
        self._tail.begin_pass()
        for topic in sorted(_letter_topics(readings)):
            places = [(topic, number) for number in topics.get(topic, ())]
            own = {place: spans[place] for place in places if place in spans}
            if not own:
                continue
            try:
                self._tail.read_on(topic, own)
            except KafkaException as error:
                problem = explain(error.args[0], self._kafka.address, f"the dead letters in {topic}")
                log.warning("dead letters not read", topic=topic, reason=problem.reason, problem=str(problem))

    def _view_group(self, name: str, described: Described, at: datetime) -> GroupView:
        state, protocol, members = described
        known = self._groups.get(name)
        rebalancing = protocol == CLASSIC and state not in _MEMBERLESS and state != STABLE
        if rebalancing and known is not None and known.members:
            view = GroupView(state=state, protocol=protocol, members=known.members, members_at=known.members_at)
        else:
            view = GroupView(state=state, protocol=protocol, members=members, members_at=at)
        self._groups[name] = view
        return view

    def _make_facts(
        self,
        reading: Reading,
        topics: Mapping[str, tuple[int, ...]],
        committed: Mapping[Place, Committed],
        *,
        group: GroupView,
        spans: Mapping[Place, Span],
        at: datetime,
        moment: float,
    ) -> KafkaFacts:
        own = {topic: topics[topic] for topic in sorted(reading.topics) if topic in topics}
        lag = compute_lag(own, {place: offset.offset for place, offset in committed.items()}, spans)
        if lag.total is not None:
            self._points[reading] = add_point(self._points.get(reading, ()), LagPoint(moment, lag.total))
        slope = compute_slope(self._points[reading]) if lag.total is not None else None
        letters = None
        if reading.dead_letter_topic is not None and reading.dead_letter_topic in topics:
            letters = self._tail.count(reading.dead_letter_topic, reading.group)
        return KafkaFacts(
            reading=reading,
            observed_at=at,
            partitions={topic: len(numbers) for topic, numbers in own.items()},
            missing_topics=tuple(sorted(reading.topics - topics.keys())),
            group=group,
            lag=lag.total,
            topic_lags=lag.by_topic,
            uncommitted=lag.uncommitted,
            lag_slope=slope,
            drain_seconds=compute_drain_seconds(lag.total, slope),
            dead_letters=letters,
        )


def _letter_topics(readings: Collection[Reading]) -> frozenset[str]:
    return frozenset(reading.dead_letter_topic for reading in readings if reading.dead_letter_topic is not None)


def _list_places(reading: Reading, topics: Mapping[str, tuple[int, ...]]) -> list[Place]:
    return [(topic, number) for topic in sorted(reading.topics) for number in topics.get(topic, ())]


def _find_places(readings: Collection[Reading], topics: Mapping[str, tuple[int, ...]]) -> set[Place]:
    read = frozenset().union(*(reading.topics for reading in readings), _letter_topics(readings))
    return {(topic, number) for topic in read for number in topics.get(topic, ())}
