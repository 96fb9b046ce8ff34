"""Where new groups begin, and resets of those that are paused, at a real Kafka."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer

from consumers.config import ConsumerConfig
from consumers.start_offsets import prepare_group
from integration.operator_kafka import Looking, commit, committed_of, member, read
from integration_helpers import Collector, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry_operator.kafka.client import Described
from telemetry_operator.kafka.errors import GROUP_HAS_MEMBERS, NO_OFFSETS, TOPIC_NOT_FOUND, OffsetsRefused
from telemetry_operator.kafka.facts import StartFrom
from telemetry_operator.kafka.offsets import Start, commit_starts, reset_offsets
from telemetry_operator.kafka.targets import Shift, Target

Unique = Callable[[str], str]

EARLY = datetime(2026, 2, 20, 22, 0, tzinfo=UTC)
LATE = datetime(2026, 2, 20, 23, 0, tzinfo=UTC)


def fill(kafka: KafkaBroker, topic: str, *, numbers: tuple[int, int, int] = (4, 2, 0)) -> None:
    """Put messages into three partitions, the first half of each early, the other late."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for partition, number in enumerate(numbers):
        for message in range(number):
            at = EARLY if message < number // 2 else LATE
            producer.produce(topic, b"1", partition=partition, timestamp=int(at.timestamp() * 1000))
    assert producer.flush(30) == 0


@pytest.fixture
def filled(kafka: KafkaBroker, unique: Unique) -> str:
    """A topic of three partitions with 4, 2 and 0 messages, kept for ever since they are old."""
    (name,) = kafka.create_topics([unique("filled")], partitions=3, config={"retention.ms": "-1"})
    fill(kafka, name)
    return name


@pytest.mark.parametrize(
    ("start_from", "offsets", "lag"),
    [
        ("earliest", [0, 0, 0], 6),
        ("latest", [4, 2, 0], 0),
        (datetime(2026, 2, 20, 22, 30, tzinfo=UTC), [2, 1, 0], 3),
        (datetime(2000, 1, 1, tzinfo=UTC), [0, 0, 0], 6),
        (datetime(2100, 1, 1, tzinfo=UTC), [4, 2, 0], 0),
    ],
    ids=["earliest", "latest", "a time", "before anything", "after everything"],
)
def test_a_new_group_begins_where_it_is_to_and_has_its_lag_at_once(
    kafka: KafkaBroker, filled: str, unique: Unique, start_from: StartFrom, offsets: list[int], lag: int
) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    facts = looking.look(read(group, filled, start_from=start_from))
    assert (facts.lag, facts.uncommitted) == (lag, 0)
    assert committed_of(kafka, group) == {(filled, number): offset for number, offset in enumerate(offsets)}
    # Worker and operator agree: the preflight, which comes second, changes nothing.
    config = ConsumerConfig(bootstrap_servers=kafka.bootstrap_servers, group_id=group)
    prepare_group(config, [filled], "earliest" if lag == 0 else "latest", wait=10)
    assert committed_of(kafka, group) == {(filled, number): offset for number, offset in enumerate(offsets)}


def test_what_a_group_has_is_never_written_over(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    group = unique("group")
    commit(kafka, group, {(filled, 0): 3, (filled, 1): 1})
    facts = Looking(kafka).look(read(group, filled, start_from="latest"))
    # It has begun: the partition that it has no offset for is read from its start.
    assert committed_of(kafka, group) == {(filled, 0): 3, (filled, 1): 1, (filled, 2): 0}
    assert facts.lag == 2


def test_a_topic_that_is_added_to_a_group_is_read_from_its_start(
    kafka: KafkaBroker, filled: str, unique: Unique
) -> None:
    (added,) = kafka.create_topics([unique("added")], partitions=1)
    send(kafka, added, [b"1", b"2"])
    group = unique("group")
    commit(kafka, group, {(filled, 0): 4, (filled, 1): 2, (filled, 2): 0})
    facts = Looking(kafka).look(read(group, filled, added, start_from="latest"))
    assert facts.topic_lags == {filled: 0, added: 2}
    assert committed_of(kafka, group)[added, 0] == 0


def test_it_is_done_once(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    reading = read(group, filled, start_from="latest")
    assert looking.look(reading).lag == 0
    send(kafka, filled, [b"1", b"2"], partition=2)
    assert looking.look(reading).lag == 2


def test_without_a_start_a_group_is_left_alone(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    assert looking.look(read(group, filled)).uncommitted == 3
    assert committed_of(kafka, group) == {}


def test_who_begins_meanwhile_wins(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    """Given ends that were read, When the group commits offsets before ours, Then they stand."""
    looking, group = Looking(kafka), unique("group")
    places = frozenset((filled, number) for number in range(3))
    spans = looking.kafka.read_spans(places)
    commit(kafka, group, {(filled, 0): 1, (filled, 1): 1, (filled, 2): 0})
    assert commit_starts(looking.kafka, [Start(group, places, "latest")], spans) == {}
    assert committed_of(kafka, group) == {(filled, 0): 1, (filled, 1): 1, (filled, 2): 0}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_at_work_is_left_to_its_members(kafka: KafkaBroker, filled: str, unique: Unique, protocol: str) -> None:
    looking, group = Looking(kafka), unique("group")
    places = frozenset((filled, number) for number in range(3))
    with member(kafka, group, filled, protocol=protocol):
        # Kafka itself refuses, also where we did not see the member in time.
        done = commit_starts(looking.kafka, [Start(group, places, "latest")], looking.kafka.read_spans(places))
        assert done == {group: {}}
        assert looking.look(read(group, filled, start_from="latest")).uncommitted == 3


@pytest.mark.parametrize(
    ("target", "offsets"),
    [
        ("earliest", [0, 0, 0]),
        ("latest", [4, 2, 0]),
        (datetime(2026, 2, 20, 22, 30, tzinfo=UTC), [2, 1, 0]),
        (Shift(-1), [2, 0, 0]),
        (Shift(10), [4, 2, 0]),
    ],
    ids=["earliest", "latest", "a time", "back", "on"],
)
def test_an_empty_group_is_reset(
    kafka: KafkaBroker, filled: str, topic: str, unique: Unique, target: Target, offsets: list[int]
) -> None:
    looking, group = Looking(kafka), unique("group")
    commit(kafka, group, {(filled, 0): 3, (filled, 1): 1, (filled, 2): 0, (topic, 0): 0})
    reset = reset_offsets(looking.kafka, group, [filled], target, "r1")
    after = {(filled, number): offset for number, offset in enumerate(offsets)}
    assert (reset.after, reset.done_before) == (after, False)
    assert reset.before == {(filled, 0): 3, (filled, 1): 1, (filled, 2): 0}
    assert reset.moved == sum(offsets) - 4
    assert committed_of(kafka, group) == after | {(topic, 0): 0}, "another topic of the group stays"


def test_the_same_reset_is_done_once_and_another_one_anew(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    """A shift twice would be another shift: the token beside the offsets tells that it was done."""
    looking, group = Looking(kafka), unique("group")
    commit(kafka, group, {(filled, 0): 4, (filled, 1): 2, (filled, 2): 0})
    assert reset_offsets(looking.kafka, group, [filled], Shift(-1), "r1").moved == -2
    again = reset_offsets(looking.kafka, group, [filled], Shift(-1), "r1")
    assert again.done_before
    assert committed_of(kafka, group) == {(filled, 0): 3, (filled, 1): 1, (filled, 2): 0}
    assert not reset_offsets(looking.kafka, group, [filled], Shift(-1), "r2").done_before
    assert committed_of(kafka, group) == {(filled, 0): 2, (filled, 1): 0, (filled, 2): 0}


def test_a_reset_without_a_name_is_none(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    with pytest.raises(ValueError, match="needs a name"):
        reset_offsets(Looking(kafka).kafka, unique("group"), [filled], "earliest", "")


def test_a_worker_takes_over_what_was_reset(
    kafka: KafkaBroker, filled: str, unique: Unique, run_consumer: Callable[..., Any]
) -> None:
    """The token beside the offsets is none of the workers' marks."""
    looking, group, collector = Looking(kafka), unique("group"), Collector()
    commit(kafka, group, {(filled, 0): 4, (filled, 1): 2, (filled, 2): 0})
    reset_offsets(looking.kafka, group, [filled], Shift(-1), "r1")
    run_consumer(group=group, topics=[filled], handler=collector)
    wait_until(lambda: looking.look(read(group, filled)).lag == 0, what="the worker to catch up")
    assert len(collector.messages) == 2


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_reset_is_refused_while_the_group_has_members(
    kafka: KafkaBroker, filled: str, unique: Unique, protocol: str
) -> None:
    looking, group = Looking(kafka), unique("group")
    before = {(filled, 0): 3, (filled, 1): 1, (filled, 2): 0}
    commit(kafka, group, before)
    with member(kafka, group, filled, protocol=protocol, name="pod-7"):
        with pytest.raises(OffsetsRefused, match=r"has members .*pod-7.*paused: true") as raised:
            reset_offsets(looking.kafka, group, [filled], "earliest", "r1")
        assert raised.value.reason == GROUP_HAS_MEMBERS
        # A member that comes after we have looked: Kafka's own refusal is told the same way.
        empty = Described("Empty", protocol, ())
        looking.kafka.describe_groups = lambda groups: dict.fromkeys(groups, empty)  # type: ignore[method-assign]
        with pytest.raises(OffsetsRefused, match="has members"):
            reset_offsets(looking.kafka, group, [filled], "earliest", "r1")
        assert committed_of(kafka, group) == before


def test_what_can_not_be_reset_is_said(kafka: KafkaBroker, filled: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    with pytest.raises(OffsetsRefused, match=unique("never")) as raised:
        reset_offsets(looking.kafka, group, [filled, unique("never")], "earliest", "r1")
    assert raised.value.reason == TOPIC_NOT_FOUND
    with pytest.raises(OffsetsRefused, match=r"no offsets .* to shift") as raised:
        reset_offsets(looking.kafka, group, [filled], Shift(-1), "r1")
    assert raised.value.reason == NO_OFFSETS
    assert committed_of(kafka, group) == {}
