"""MQTT topic filters against the rules of MQTT 5 §4.7, and against a matcher that goes level by level."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestion.topic_filters import check_filter, compile_filter

levels = st.sampled_from(["a", "b", "", "a.b", "(", "a\nb", "é"])
topics = st.lists(levels, min_size=1, max_size=5).map("/".join)


@st.composite
def filters(draw: st.DrawFn) -> str:
    parts = draw(st.lists(levels | st.just("+"), max_size=5))
    return "/".join([*parts, "#"] if draw(st.booleans()) or not parts else parts)


def matches(topic_filter: list[str], topic: list[str]) -> bool:
    """Return whether the filter matches, by the words of §4.7.1."""
    if topic_filter == ["#"]:
        return True
    if not topic_filter or not topic:
        return not topic_filter and not topic
    return topic_filter[0] in {"+", topic[0]} and (
        matches(topic_filter[1:], topic[1:]) or (topic_filter[1:] == ["#"] and len(topic) == 1)
    )


@given(filters(), topics)
@example("sport/tennis/player1/#", "sport/tennis/player1")
@example("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon")
@example("sport/#", "sport")
@example("sport/+", "sport")
@example("sport/+", "sport/")
@example("+/+", "/finance")
@example("/+", "/finance")
@example("+", "/finance")
@example("#", "a\nb")
def test_a_filter_matches_what_the_specification_says(topic_filter: str, topic: str) -> None:
    check_filter(topic_filter)
    expected = matches(topic_filter.split("/"), topic.split("/"))
    assert (compile_filter(topic_filter).fullmatch(topic) is not None) is expected


@pytest.mark.parametrize(
    "topic_filter", ["#", "+", "telemetry/+", "+/tennis/#", "sport/+/player1", "/+", "a//b", "$SYS/#"]
)
def test_wildcards_may_stand_where_the_specification_has_them(topic_filter: str) -> None:
    check_filter(topic_filter)


@pytest.mark.parametrize(
    ("topic_filter", "words"),
    [
        ("sport/tennis#", "'#' must be the whole last level"),
        ("sport/tennis/#/ranking", "'#' must be the whole last level"),
        ("#/", "'#' must be the whole last level"),
        ("##", "'#' must be the whole last level"),
        ("sport+", r"'\+' must be a whole level"),
        ("a/b+/c", r"'\+' must be a whole level"),
        ("++", r"'\+' must be a whole level"),
    ],
)
def test_anywhere_else_they_are_refused_with_the_rule(topic_filter: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        check_filter(topic_filter)
    assert repr(topic_filter) in str(caught.value)


def test_further_levels_have_patterns_of_their_own() -> None:
    match = compile_filter("a/{x}/#", **{"{x}": "(?P<x>[0-9]+)"}).fullmatch("a/12/b")
    assert match is not None
    assert match["x"] == "12"
    assert compile_filter("a/{x}").fullmatch("a/12") is None
