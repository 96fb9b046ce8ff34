"""What has to be done so that the topics are as wanted: enough, no more, and nothing that loses data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from telemetry.settings import real_problems
from topics.plan import Configure, Create, FoundTopic, Grow, LeaveAlone, Step, TopicsFile, WantedTopic, plan_topics

WEEK = "604800000"


def wanted(name: str = "telemetry.raw", partitions: int = 6, replicas: int = 1, **configs: str) -> WantedTopic:
    return WantedTopic.model_validate(
        {"name": name, "partitions": partitions, "replicationFactor": replicas, "configs": configs}
    )


def found(partitions: int = 6, replicas: int = 1, **configs: str | None) -> FoundTopic:
    return FoundTopic(partitions, replicas, configs)


class TestPlan:
    def test_what_is_not_there_is_made_with_all_that_is_asked_for(self) -> None:
        topic = wanted(retention=WEEK)
        assert plan_topics([topic], {}) == [Create(topic)]

    def test_what_is_as_wanted_needs_nothing(self) -> None:
        assert plan_topics([wanted(retention=WEEK)], {"telemetry.raw": found(retention=WEEK, cleanup="delete")}) == []

    def test_more_partitions_are_added(self) -> None:
        assert plan_topics([wanted(partitions=12)], {"telemetry.raw": found(6)}) == [Grow("telemetry.raw", 12)]

    def test_fewer_partitions_are_left_alone_and_said(self) -> None:
        [step] = plan_topics([wanted(partitions=3)], {"telemetry.raw": found(6)})
        assert isinstance(step, LeaveAlone)
        assert step.name == "telemetry.raw"
        assert "it has 6 partitions, 3 are asked for" in step.why

    @pytest.mark.parametrize(("there", "asked"), [(1, 3), (3, 1)])
    def test_another_replication_factor_is_left_alone_with_the_tool_for_it(self, there: int, asked: int) -> None:
        [step] = plan_topics([wanted(replicas=asked)], {"telemetry.raw": found(replicas=there)})
        assert isinstance(step, LeaveAlone)
        assert f"its replication factor is {there}, {asked} is asked for" in step.why
        assert "kafka-reassign-partitions.sh" in step.why

    def test_only_settings_that_differ_are_set(self) -> None:
        topic = wanted(retention=WEEK, cleanup="compact", new="1", hidden="x")
        there = found(retention=WEEK, cleanup="delete", hidden=None, other="kept")
        assert plan_topics([topic], {"telemetry.raw": there}) == [
            Configure("telemetry.raw", {"cleanup": "compact", "new": "1", "hidden": "x"})
        ]

    def test_a_setting_that_nobody_asks_for_is_not_touched(self) -> None:
        assert plan_topics([wanted()], {"telemetry.raw": found(retention="1")}) == []

    def test_topics_that_nobody_asks_for_are_not_looked_at(self) -> None:
        assert plan_topics([wanted()], {"telemetry.raw": found(), "theirs": found(1)}) == []

    def test_several_things_may_be_wrong_with_one_topic(self) -> None:
        steps = plan_topics([wanted(partitions=12, replicas=3, retention=WEEK)], {"telemetry.raw": found()})
        assert [type(step) for step in steps] == [Grow, LeaveAlone, Configure]

    def test_nothing_wanted_is_nothing_to_do(self) -> None:
        assert plan_topics([], {"theirs": found()}) == []


names = st.sampled_from(["a", "b", "c"])
configs = st.dictionaries(st.sampled_from(["retention.ms", "cleanup.policy"]), st.sampled_from(["1", "2"]))
wanted_topics = st.lists(
    st.builds(wanted, names, st.integers(1, 5), st.integers(1, 3)).flatmap(
        lambda topic: configs.map(lambda chosen: topic.model_copy(update={"configs": chosen}))
    ),
    max_size=3,
    unique_by=lambda topic: topic.name,
)
found_topics = st.dictionaries(
    names | st.just("theirs"), st.builds(FoundTopic, st.integers(1, 5), st.integers(1, 3), configs)
)


def apply(steps: Sequence[Step], there: Mapping[str, FoundTopic]) -> dict[str, FoundTopic]:
    """Return what Kafka has after the steps, refusing what Kafka refuses."""
    after = dict(there)
    for step in steps:
        match step:
            case Create(topic):
                assert topic.name not in after, "TOPIC_ALREADY_EXISTS"
                after[topic.name] = FoundTopic(topic.partitions, topic.replication_factor, dict(topic.configs))
            case Grow(name, partitions):
                assert partitions > after[name].partitions, "INVALID_PARTITIONS"
                after[name] = replace(after[name], partitions=partitions)
            case Configure(name, changed):
                after[name] = replace(after[name], configs={**after[name].configs, **changed})
            case LeaveAlone(name):
                assert name in after
    return after


class TestAnyState:
    @given(wanted_topics, found_topics)
    def test_applied_once_there_is_nothing_left_to_do(
        self, topics: list[WantedTopic], there: dict[str, FoundTopic]
    ) -> None:
        # Given any topics wanted and any there are
        first = plan_topics(topics, there)
        # When the plan is carried out
        after = apply(first, there)
        # Then a second one changes nothing, and leaves alone what the first did
        second = plan_topics(topics, after)
        assert second == [step for step in first if isinstance(step, LeaveAlone)]
        assert apply(second, after) == after

    @given(wanted_topics, found_topics)
    def test_nothing_is_ever_taken_away(self, topics: list[WantedTopic], there: dict[str, FoundTopic]) -> None:
        after = apply(plan_topics(topics, there), there)
        # All that was there is there, as large, as often copied, with every setting that nobody asked to change
        asked = {topic.name: topic for topic in topics}
        for name, before in there.items():
            assert after[name].partitions >= before.partitions
            assert after[name].replication_factor == before.replication_factor
            changed = asked[name].configs if name in asked else {}
            assert after[name].configs == {**before.configs, **changed}

    @given(wanted_topics, found_topics)
    def test_every_topic_wanted_is_there_and_large_enough(
        self, topics: list[WantedTopic], there: dict[str, FoundTopic]
    ) -> None:
        after = apply(plan_topics(topics, there), there)
        for topic in topics:
            assert after[topic.name].partitions == max(
                topic.partitions, getattr(there.get(topic.name), "partitions", 0)
            )
            assert after[topic.name].configs.items() >= topic.configs.items()


class TestTopicsFile:
    def test_it_is_read_with_the_names_that_kubernetes_would_use(self) -> None:
        text = """{"topics": [{"name": "telemetry.raw", "partitions": 6, "replicationFactor": 3,
                   "configs": {"retention.ms": "604800000"}}, {"name": "telemetry.dlq", "partitions": 1}]}"""
        raw, dlq = TopicsFile.model_validate_json(text).topics
        assert raw == wanted("telemetry.raw", 6, 3, **{"retention.ms": WEEK})
        assert (dlq.partitions, dlq.replication_factor, dlq.configs) == (1, 1, {})

    @pytest.mark.parametrize(
        ("change", "place", "words"),
        [
            ({"name": "a/b"}, "name", "can't be a topic's name"),
            ({"name": ".."}, "name", "can't be a topic's name"),
            ({"partitions": 0}, "partitions", "greater than or equal to 1"),
            ({"partitions": 10_001}, "partitions", "less than or equal to 10000"),
            ({"partitions": "many"}, "partitions", "integer"),
            ({"replicationFactor": 0}, "replicationFactor", "greater than or equal to 1"),
            ({"replicationFactor": 101}, "replicationFactor", "less than or equal to 100"),
            ({"replication_factor": 1}, "replication_factor", "not permitted"),
            ({"configs": {"retention.ms": 604_800_000}}, "retention.ms", "valid string"),
            ({"config": {}}, "config", "not permitted"),
        ],
    )
    def test_a_wrong_field_is_named(self, change: dict[str, Any], place: str, words: str) -> None:
        topic = {"name": "telemetry.raw", "partitions": 6} | change
        with pytest.raises(ValidationError, match=words) as caught:
            TopicsFile.model_validate_json(json.dumps({"topics": [topic]}))
        # One problem is one sentence: that no valid topic is left only follows from it.
        [problem] = real_problems(caught.value)
        assert problem["loc"][-1] == place

    @pytest.mark.parametrize("missing", ["name", "partitions"])
    def test_a_missing_field_is_named(self, missing: str) -> None:
        topic = {"name": "telemetry.raw", "partitions": 6}
        del topic[missing]
        with pytest.raises(ValidationError, match=rf"topics\.0\.{missing}"):
            TopicsFile.model_validate({"topics": [topic]})

    @pytest.mark.parametrize("text", ['{"topics": []}', "{}", '{"topics": [], "more": 1}', "[]", "{"])
    def test_a_file_without_topics_is_refused(self, text: str) -> None:
        with pytest.raises(ValidationError):
            TopicsFile.model_validate_json(text)

    def test_a_topic_that_is_asked_for_twice_is_refused_by_name(self) -> None:
        topics = [{"name": "b", "partitions": n} for n in (1, 2)] + [{"name": "a", "partitions": 1}]
        with pytest.raises(ValidationError, match="asked for twice: b"):
            TopicsFile.model_validate({"topics": topics})
