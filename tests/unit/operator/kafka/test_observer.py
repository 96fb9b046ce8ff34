"""What is known at any time, without a Kafka: nobody listens where these look."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from telemetry_operator.errors import SettingsError
from telemetry_operator.kafka.errors import NOT_ASKED_YET, UNAVAILABLE
from telemetry_operator.kafka.facts import DeadLetters, GroupView, Look, Reading, Trouble
from telemetry_operator.kafka.observer import Observer, awaits_start, is_news
from telemetry_operator.kafka.settings import load_kafka_settings
from unit.operator.kafka.making import AT, make_facts, make_member, make_reading

NOBODY = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
TROUBLE = Trouble(reason=UNAVAILABLE, message="no answer", since=AT)
LETTERS = DeadLetters(count=1, last_reason="bad_ts", last_at=AT, since=AT, skipped=0)


def test_what_was_not_asked_yet_is_said_to_be() -> None:
    look = Observer(load_kafka_settings(NOBODY)).look(make_reading())
    assert look.facts is None
    assert look.trouble is not None
    assert look.trouble.reason == NOT_ASKED_YET


async def test_a_stop_that_comes_together_with_something_to_watch_is_a_stop() -> None:
    observer = Observer(load_kafka_settings(NOBODY))
    observer.start()
    await asyncio.sleep(0)  # it waits for something to watch now
    observer.watch([])
    async with asyncio.timeout(10):
        await observer.stop()


def test_a_property_that_librdkafka_does_not_know_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r'KAFKA_PROPERTIES: No such configuration property: "no.such"'):
        Observer(load_kafka_settings(NOBODY | {"KAFKA_PROPERTIES": '{"no.such": 1}'}))


@pytest.mark.parametrize(
    "changes",
    [
        {"missing_topics": ("raw",)},
        {"partitions": {"raw": 7}},
        {"dead_letters": LETTERS},
        {"lag": 0},
        {"lag": None},
        {"group": GroupView(state="Empty", protocol="classic")},
        {"group": GroupView(state="Stable", protocol="classic", members=(make_member("stranger", "other"),))},
    ],
)
def test_more_than_a_number_is_news(changes: Mapping[str, Any]) -> None:
    assert is_news(Look(facts=make_facts(), trouble=None), Look(facts=make_facts(**changes), trouble=None))


def test_numbers_that_go_up_and_down_are_no_news() -> None:
    later = make_facts(
        lag=99, topic_lags={"raw": 99}, lag_slope=-1.0, drain_seconds=99, observed_at=AT.replace(hour=23)
    )
    assert not is_news(Look(facts=make_facts(), trouble=None), Look(facts=later, trouble=None))


def test_trouble_is_news_when_it_comes_and_when_it_goes_not_while_it_lasts() -> None:
    well, ill = Look(facts=make_facts(), trouble=None), Look(facts=make_facts(), trouble=TROUBLE)
    assert is_news(well, ill)
    assert is_news(ill, well)
    assert not is_news(ill, ill)
    assert is_news(Look(facts=None, trouble=None), well), "the first facts"


def test_a_start_is_awaited_by_an_empty_group_that_has_no_offsets() -> None:
    reading = Reading(group="g", topics=frozenset({"raw"}), start_from="latest")
    empty = GroupView(state="Empty")
    assert awaits_start(make_facts(reading, uncommitted=6, group=empty))
    assert not awaits_start(make_facts(reading, uncommitted=0, group=empty))
    assert not awaits_start(make_facts(reading, uncommitted=6)), "its members begin where they will"
    assert not awaits_start(make_facts(uncommitted=6, group=empty)), "not asked for"


def test_a_group_has_begun_with_its_first_offset() -> None:
    assert make_facts(uncommitted=5).has_begun
    assert not make_facts(uncommitted=6).has_begun
    assert not make_facts(uncommitted=0, partitions={}).has_begun


def test_where_a_reading_starts_makes_it_no_other_reading() -> None:
    assert Reading(group="g", topics=frozenset({"raw"}), start_from="latest") == make_reading("g", "raw")
