"""Who shares a group, and how many can."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator.kafka.facts import GroupView
from telemetry_operator.kafka.sharing import (
    cap_replicas,
    count_spare_replicas,
    count_useful_replicas,
    find_rivals,
    find_strangers,
)
from telemetry_operator.naming import Key
from unit.operator.kafka.making import make_facts, make_member, make_reading

A, B, C = Key("plant", "a"), Key("plant", "b"), Key("lab", "c")


def test_rivals_are_of_the_same_group_and_other_topics() -> None:
    readings = {A: make_reading("g", "raw"), B: make_reading("g", "clean"), C: make_reading("g", "raw")}
    assert find_rivals(readings) == {A: (B,), B: (C, A), C: (B,)}


def test_the_same_topics_are_shared_work_and_another_group_is_none_of_ours() -> None:
    readings = {A: make_reading("g", "raw", "x"), B: make_reading("g", "x", "raw"), C: make_reading("other", "clean")}
    assert find_rivals(readings) == {}


@given(
    st.dictionaries(st.sampled_from([A, B, C]), st.builds(make_reading, st.sampled_from("gh"), st.sampled_from("xy")))
)
def test_rivals_see_each_other(readings: dict[Key, object]) -> None:
    rivals = find_rivals(readings)  # type: ignore[arg-type]
    for key, others in rivals.items():
        assert key not in others
        assert all(key in rivals[other] for other in others)


def test_a_stranger_reads_what_is_not_ours() -> None:
    stranger = make_member("stranger", "other", "raw")
    members = (make_member("pod-1", "raw"), make_member("helper", "raw"), stranger, make_member("spare"))
    facts = make_facts(group=GroupView(state="Stable", protocol="classic", members=members))
    assert find_strangers(facts, {"pod-1"}) == (stranger,)


def test_our_own_pods_of_before_are_no_strangers() -> None:
    members = (make_member("pod-old", "raw-v1"), make_member("pod-new", "raw"))
    facts = make_facts(group=GroupView(state="Stable", protocol="classic", members=members))
    assert find_strangers(facts, {"pod-old", "pod-new"}) == ()


def test_as_many_workers_as_partitions_have_something_to_read() -> None:
    facts = make_facts(partitions={"raw": 6, "clean": 2})
    assert count_useful_replicas(facts) == 8
    assert [count_spare_replicas(replicas, facts) for replicas in (0, 8, 11)] == [0, 0, 3]
    assert [cap_replicas(wanted, facts) for wanted in (0, 8, 11)] == [0, 8, 8]


def test_a_missing_topic_may_come_with_any_number() -> None:
    facts = make_facts(missing_topics=("clean",))
    assert count_useful_replicas(facts) is None
    assert count_spare_replicas(100, facts) == 0
    assert cap_replicas(100, facts) == 100


def test_what_is_unknown_caps_nothing() -> None:
    assert cap_replicas(100, None) == 100
