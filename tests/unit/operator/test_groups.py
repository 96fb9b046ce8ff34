"""Which groups are looked at, and when their numbers are told anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from telemetry_operator.groups import TELL_AFTER, Groups, build_reading
from telemetry_operator.kafka.facts import Look, Reading
from telemetry_operator.kafka.observer import INTERVAL_SECONDS
from telemetry_operator.naming import Key
from unit.operator.kafka_samples import AT, FixedObserver, facts_of
from unit.operator.samples import KEY, consumer

OTHER = Key("plant", "other")
LOOK = timedelta(seconds=INTERVAL_SECONDS)
ANOTHER_KAFKA = {"kafka": {"bootstrapServers": "other:9092"}}


@pytest.fixture
def observer() -> FixedObserver:
    return FixedObserver()


@pytest.fixture
def groups(observer: FixedObserver) -> Groups:
    return Groups(observer)


def test_a_reading_is_what_the_spec_says() -> None:
    reading = build_reading(consumer({"topics": ["a", "b"], "groupId": "g", "deadLetter": {"topic": "bin"}}))
    assert reading == Reading(group="g", topics=frozenset({"a", "b"}), dead_letter_topic="bin")
    assert reading.start_from == "earliest"


@pytest.mark.parametrize(
    ("start", "expected"),
    [("latest", "latest"), ("2026-02-20T22:45:00Z", datetime(2026, 2, 20, 22, 45, tzinfo=UTC))],
)
def test_where_it_begins_is_read(start: str, expected: object) -> None:
    reading = build_reading(consumer({"startFrom": start}))
    assert reading is not None
    assert reading.start_from == expected


def test_another_kafka_is_not_asked(groups: Groups, observer: FixedObserver) -> None:
    assert build_reading(consumer(ANOTHER_KAFKA)) is None
    assert build_reading(consumer({"kafka": {"properties": {"a": "b"}}})) is not None
    groups.note(KEY, consumer())
    groups.note(KEY, consumer(ANOTHER_KAFKA))
    assert observer.watched == []
    assert groups.look(KEY) is None


def test_one_that_is_gone_is_looked_at_no_longer(groups: Groups, observer: FixedObserver) -> None:
    groups.note(KEY, consumer())
    assert [reading.group for reading in observer.watched] == ["plant.raw-logger"]
    groups.note(KEY, None)
    groups.note(KEY, None)
    assert observer.watched == []


def test_rivals_share_a_group_and_read_other_topics(groups: Groups) -> None:
    groups.note(KEY, consumer({"groupId": "g"}))
    groups.note(OTHER, consumer({"groupId": "g", "topics": ["other"]}, name="other"))
    assert groups.find_rivals(KEY) == (OTHER,)
    groups.note(OTHER, consumer({"groupId": "g"}, name="other"))
    assert groups.find_rivals(KEY) == ()


def test_what_is_not_told_at_one_look_is_still_told_in_time_at_the_next() -> None:
    assert LOOK < TELL_AFTER < 2 * LOOK
    assert (TELL_AFTER + LOOK).total_seconds() <= 60


def test_numbers_are_due_once_they_are_newer_by_enough(groups: Groups, observer: FixedObserver) -> None:
    groups.note(KEY, consumer())
    (reading,) = observer.watched
    assert groups.find_due() == []
    observer.looks[reading] = Look(facts=facts_of(reading), trouble=None)
    assert groups.find_due() == [KEY]
    groups.tell(KEY, AT)
    assert groups.find_due() == []
    observer.looks[reading] = Look(facts=facts_of(reading, observed_at=AT + LOOK), trouble=None)
    assert groups.find_due() == []
    observer.looks[reading] = Look(facts=facts_of(reading, observed_at=AT + 2 * LOOK), trouble=None)
    assert groups.find_due() == [KEY]
    assert groups.find_keys({reading}) == [KEY]
    # A clock that was set back by an hour.
    observer.looks[reading] = Look(facts=facts_of(reading, observed_at=AT - timedelta(hours=1)), trouble=None)
    assert groups.find_due() == [KEY]


def test_where_a_group_begins_is_told_anew_once_it_has_begun(groups: Groups, observer: FixedObserver) -> None:
    """Given the same question, when only its beginning is another, then whoever asks Kafka knows; its facts stand."""
    groups.note(KEY, consumer({"startFrom": "latest"}))
    groups.tell(KEY, AT)
    groups.note(KEY, consumer({"startFrom": "earliest"}))
    (reading,) = observer.watched
    assert reading.start_from == "earliest"
    observer.looks[reading] = Look(facts=facts_of(reading), trouble=None)
    assert groups.find_due() == []
