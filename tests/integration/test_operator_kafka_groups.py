"""What the operator learns of groups and topics from a real Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integration.operator_kafka import Looking, commit, member, read
from integration_helpers import send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry_operator.kafka.facts import KafkaFacts
from telemetry_operator.kafka.sharing import count_useful_replicas, find_strangers

Unique = Callable[[str], str]


def test_a_group_that_nobody_has_heard_of(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    looking, group = Looking(kafka), unique("group")
    looking.wait_for_coordinator(group)
    facts = looking.look(read(group, topic))
    assert facts.partitions == {topic: 3}
    assert (facts.group.state, facts.group.protocol, facts.group.members) == ("Dead", None, ())
    assert (facts.lag, facts.topic_lags, facts.uncommitted) == (None, {topic: None}, 3)
    assert (facts.lag_slope, facts.drain_seconds, facts.dead_letters) == (None, None, None)


def test_an_empty_group_has_its_lag(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    (other,) = kafka.create_topics([unique("other")], partitions=1)
    send(kafka, topic, [b"1", b"2", b"3"], partition=0)
    send(kafka, topic, [b"4"], partition=2)
    send(kafka, other, [b"5", b"6"])
    group = unique("group")
    commit(kafka, group, {(topic, 0): 1, (topic, 1): 0, (topic, 2): 1, (other, 0): 0})
    facts = Looking(kafka).look(read(group, topic, other))
    assert (facts.group.state, facts.group.members) == ("Empty", ())
    assert (facts.lag, facts.topic_lags, facts.uncommitted) == (4, {topic: 2, other: 2}, 0)
    assert count_useful_replicas(facts) == 4


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_are_known_in_both_protocols(kafka: KafkaBroker, topic: str, unique: Unique, protocol: str) -> None:
    group, looking = unique("group"), Looking(kafka)
    commit(kafka, group, {(topic, number): 0 for number in range(3)})
    with (
        member(kafka, group, topic, protocol=protocol, name="pod-1"),
        member(kafka, group, topic, protocol=protocol, name="pod-2"),
    ):

        def settled() -> KafkaFacts | None:
            facts = looking.look(read(group, topic))
            spread = sorted(each.partitions for each in facts.group.members)
            return facts if facts.group.state == "Stable" and spread == [1, 2] else None

        facts = wait_until(
            settled, what="two members with partitions", hint=lambda: str(looking.look(read(group, topic)))
        )
        assert facts is not None
        assert facts.group.protocol == protocol
        assert [each.client_id for each in facts.group.members] == ["pod-1", "pod-2"]
        assert {each.topics for each in facts.group.members} == {frozenset({topic})}
        assert facts.group.members[0].host == "127.0.0.1"
        assert find_strangers(facts, ()) == ()
    facts = looking.look(read(group, topic))
    assert (facts.group.state, facts.group.members) == ("Empty", ())


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_stranger_in_the_group_reads_other_topics(
    kafka: KafkaBroker, topic: str, unique: Unique, protocol: str
) -> None:
    (other,) = kafka.create_topics([unique("other")], partitions=2)
    group, looking = unique("group"), Looking(kafka)

    def find() -> list[str]:
        return [each.client_id for each in find_strangers(looking.look(read(group, topic)), {"pod-1"})]

    with member(kafka, group, topic, protocol=protocol, name="pod-1"):
        assert find() == []
        with member(kafka, group, other, protocol=protocol, name="stranger"):
            wait_until(lambda: find() == ["stranger"], what="the stranger")
            # Another reading of the same group: to the one that reads the other topic, we are the stranger.
            facts = looking.look(read(group, other))
            assert [each.client_id for each in find_strangers(facts, ())] == ["pod-1"]


def test_members_stand_while_a_rebalance_hides_them(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    group, looking, states = unique("group"), Looking(kafka), set()
    with member(kafka, group, topic, name="pod-1"):
        wait_until(lambda: looking.look(read(group, topic)).group.state == "Stable")
        with member(kafka, group, topic, name="pod-2", assigned=False):

            def both() -> bool:
                view = looking.look(read(group, topic)).group
                states.add(view.state)
                assert view.members, "never none"
                assert all(each.topics == {topic} for each in view.members if each.client_id == "pod-1")
                return view.state == "Stable" and len(view.members) == 2 and all(m.topics for m in view.members)

            wait_until(both, interval=0.01)
    assert states <= {"Stable", "PreparingRebalance", "CompletingRebalance"}


def test_a_topic_that_is_missing_and_one_that_goes(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    (going,) = kafka.create_topics([unique("going")], partitions=2)
    group, looking = unique("group"), Looking(kafka)
    commit(kafka, group, {(topic, 0): 0, (topic, 1): 0, (topic, 2): 0, (going, 0): 0, (going, 1): 0})
    send(kafka, topic, [b"1"])
    send(kafka, going, [b"1"])
    reading = read(group, topic, going, unique("never"))
    facts = looking.look(reading)
    assert facts.missing_topics == (unique("never"),)
    assert (facts.partitions, facts.lag) == ({going: 2, topic: 3}, 2)
    assert count_useful_replicas(facts) is None
    kafka.delete_topics([going])
    wait_until(lambda: going in looking.look(reading).missing_topics, what=f"{going} to be gone")
    facts = looking.look(reading)
    assert (facts.partitions, facts.lag, facts.topic_lags) == ({topic: 3}, 1, {topic: 1})
    # Looking has not made it again.
    assert going not in kafka.admin.list_topics(timeout=10).topics


def test_a_topic_that_is_deleted_while_its_offsets_are_asked_for(kafka: KafkaBroker, unique: Unique) -> None:
    (going,) = kafka.create_topics([unique("going")], partitions=2)
    group, looking = unique("group"), Looking(kafka)
    commit(kafka, group, {(going, 0): 0, (going, 1): 0})
    read_topics = looking.kafka.read_topics

    def read_and_delete() -> dict[str, tuple[int, ...]]:
        known = read_topics()
        kafka.delete_topics([going])
        return known

    looking.kafka.read_topics = read_and_delete  # type: ignore[method-assign]
    facts = looking.look(read(group, going))
    assert (facts.partitions, facts.lag) == ({going: 2}, None), "it was there a moment ago, and tells nothing any more"


def test_offsets_outside_of_what_there_is(kafka: KafkaBroker, unique: Unique) -> None:
    """Given a topic that was made anew, with offsets of the old one beyond its end, Then all of it is still to read."""
    name = unique("anew")
    kafka.create_topics([name], partitions=2)
    group, looking = unique("group"), Looking(kafka)
    send(kafka, name, [b"1", b"2", b"3"], partition=0)
    commit(kafka, group, {(name, 0): 2_000_000, (name, 1): 0})
    facts = looking.look(read(group, name))
    assert (facts.lag, facts.uncommitted) == (3, 0)


def test_a_partition_without_an_offset_is_counted_from_its_start(
    kafka: KafkaBroker, topic: str, unique: Unique
) -> None:
    """Kafka answers -1001 for it, which is no offset to reckon with."""
    group = unique("group")
    commit(kafka, group, {(topic, 0): 0})
    send(kafka, topic, [b"1", b"2"], partition=1)
    facts = Looking(kafka).look(read(group, topic))
    assert (facts.lag, facts.uncommitted) == (2, 2)


def test_the_lags_own_slope_tells_when_nothing_is_left(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    group, looking = unique("group"), Looking(kafka)
    send(kafka, topic, [b"x"] * 100, partition=0)
    reading = read(group, topic)
    for look, committed in enumerate((0, 20, 40)):
        commit(kafka, group, {(topic, 0): committed, (topic, 1): 0, (topic, 2): 0})
        looking.clock = look * 30.0
        facts = looking.look(reading)
        if look < 2:
            assert (facts.lag_slope, facts.drain_seconds) == (None, None)
    assert facts.lag_slope == pytest.approx(-20 / 30)
    assert (facts.lag, facts.drain_seconds) == (60, 90)
    commit(kafka, group, {(topic, 0): 100})
    assert looking.look(reading).drain_seconds == 0
