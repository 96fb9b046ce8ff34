"""What is said of a Kafka's topics and groups."""

from __future__ import annotations

import pytest

from iothub.doctor.finding import State
from iothub.doctor.kafka import find_moving, judge_group, judge_topics
from iothub.kafka.facts import GroupFacts, GroupLag, LagReading, Member, PartitionLag
from iothub.servers.topics import build_hub_topics
from topics.plan import Configure, Create, FoundTopic, Grow, LeaveAlone, plan_topics

WANTED = build_hub_topics()
RAW = next(topic for topic in WANTED if topic.name == "telemetry.raw")
MEMBER = Member("worker-1", "127.0.0.1", (("telemetry.raw", 0),))


def make_group(committed: int | None, latest: int = 100, *, name: str = "alarms") -> GroupLag:
    return GroupLag(name, (PartitionLag("telemetry.raw", 0, committed, 0, latest),))


class TestTopics:
    """The hub's topics are there, and take what ingestion takes."""

    def test_as_wanted(self) -> None:
        assert {finding.state for finding in judge_topics(WANTED, [])} == {State.OK}

    def test_one_that_is_not_there(self) -> None:
        findings = {f.name: f for f in judge_topics(WANTED, [Create(RAW)])}
        assert findings["topic telemetry.raw"].state is State.WRONG
        assert findings["topic telemetry.clean"].state is State.OK

    def test_one_that_is_too_small_for_the_largest_message(self) -> None:
        found = {topic.name: FoundTopic(6, 1, dict(topic.configs)) for topic in WANTED}
        found["telemetry.raw"] = FoundTopic(6, 1, {**RAW.configs, "max.message.bytes": "1048588"})
        raw = {f.name: f for f in judge_topics(WANTED, plan_topics(WANTED, found))}["topic telemetry.raw"]
        assert raw.state is State.WRONG
        assert "max.message.bytes is not 1114112" in raw.found
        assert "--add-config max.message.bytes=1114112" in raw.advice

    @pytest.mark.parametrize(
        ("step", "remark"),
        [
            (Configure("telemetry.raw", {"retention.ms": "1"}), "its own retention.ms"),
            (Grow("telemetry.raw", 6), "fewer than 6 partitions"),
        ],
    )
    def test_what_is_ones_own_choice_is_only_remarked(self, step: Configure | Grow, remark: str) -> None:
        raw = {f.name: f for f in judge_topics(WANTED, [step])}["topic telemetry.raw"]
        assert (raw.state, raw.found) == (State.OK, f"there, {remark}")

    def test_more_partitions_are_fine(self) -> None:
        assert {f.state for f in judge_topics(WANTED, [LeaveAlone("telemetry.raw", "it has 12")])} == {State.OK}


class TestGroups:
    """A group that is behind is on its way, or it is not."""

    @pytest.mark.parametrize(
        ("before", "after", "moves"),
        [(10, 20, True), (10, 10, False), (None, 5, True), (10, 100, True)],
    )
    def test_it_moves_where_it_commits(self, before: int | None, after: int, *, moves: bool) -> None:
        readings = [LagReading(0, (make_group(before),)), LagReading(3, (make_group(after),))]
        assert find_moving(*readings) == ({"alarms"} if moves else set())

    def test_one_on_its_way_is_well(self) -> None:
        finding = judge_group(GroupFacts("alarms", "stable", "classic", (MEMBER,), make_group(40)), moved=True)
        assert (finding.state, finding.found) == (State.OK, "60 messages behind, and on its way")

    def test_one_that_stands_still_is_wrong(self) -> None:
        finding = judge_group(GroupFacts("alarms", "stable", "classic", (MEMBER,), make_group(40)), moved=False)
        assert finding.state is State.WRONG
        assert "60 messages wait" in finding.found
        assert finding.advice == "iothub lag alarms"

    def test_one_without_members_is_missing_them(self) -> None:
        # It may be paused, or scaled to zero.
        finding = judge_group(GroupFacts("alarms", "empty", "classic", (), make_group(40)), moved=False)
        assert finding.state is State.MISSING
        assert "60 messages wait" in finding.found
