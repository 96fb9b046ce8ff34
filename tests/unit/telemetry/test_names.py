"""What Kafka takes as a topic's name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from telemetry.names import TOPIC_CLEAN, TOPIC_DLQ, TOPIC_RAW, TopicName, check_topic_name


@pytest.mark.parametrize("name", ["a", "telemetry.raw", "_x", "-", "...", "A_b-C.9", "__consumer_offsets", "t" * 249])
def test_what_kafka_takes_is_taken(name: str) -> None:
    assert check_topic_name(name) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "1 to 249 characters, this one has 0"),
        ("t" * 250, "has 250"),
        (".", "'.' can't be"),
        ("..", "'..' can't be"),
        ("a/b", "'a/b'.*letters, digits"),
        ("a b", "letters"),
        ("a\n", "letters"),
        ("telemetry.räw", "letters"),
        ("topic:1", "letters"),
        ("٣", "letters"),
    ],
)
def test_what_it_does_not_take_is_refused_with_the_rule(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_topic_name(name)


@given(st.text("aZ9._-/ ä\n", max_size=4) | st.text(max_size=4) | st.text("t", min_size=247, max_size=252))
def test_it_agrees_with_kafkas_own_rule(name: str) -> None:
    legal = re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) is not None and name not in {".", ".."}
    try:
        taken = check_topic_name(name) == name
    except ValueError:
        taken = False
    assert taken is legal


def test_as_a_type_it_checks_too() -> None:
    assert TypeAdapter(TopicName).validate_python("telemetry.raw") == "telemetry.raw"
    with pytest.raises(ValidationError, match="'a/b' can't be a topic's name"):
        TypeAdapter(TopicName).validate_python("a/b")


def test_our_own_names_are_names() -> None:
    assert list(map(check_topic_name, (TOPIC_RAW, TOPIC_CLEAN, TOPIC_DLQ))) == [
        "telemetry.raw",
        "telemetry.clean",
        "telemetry.dlq",
    ]
