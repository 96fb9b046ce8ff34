"""Where a topic's partitions begin and end, while some of them have no leader to tell.

One broker never is without a leader, so here an admin client stands for several, and answers as librdkafka's does.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from iothub.errors import Unavailable
from iothub.kafka.client import Kafka
from iothub.target import Target

PLACES = [("t", 0), ("t", 1)]


class Admin:
    """Tells 3 and 7 of every partition, but of partition 1 only from the given try on, and before that an error."""

    def __init__(self, *, from_try: int = 0, error: int = KafkaError.LEADER_NOT_AVAILABLE, silent: int = 1) -> None:
        self.asked: list[list[int]] = []
        self._from_try = from_try
        self._error = error
        self._silent = silent

    def list_topics(self, timeout: float) -> Any:
        return SimpleNamespace(topics={})

    def list_offsets(self, wanted: Mapping[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Future[Any]]:
        self.asked.append([place.partition for place in wanted])
        answers = {}
        for number, place in enumerate(wanted):
            future = answers[place] = Future[Any]()
            if place.partition >= 2 - self._silent and len(self.asked) <= 2 * self._from_try:
                future.set_exception(KafkaException(KafkaError(self._error, "not now")))
            else:
                future.set_result(SimpleNamespace(offset=3 if len(self.asked) % 2 else 7))
            assert number < 2
        return answers


def make_kafka(admin: Admin) -> Kafka:
    kafka = object.__new__(Kafka)
    kafka.target = Target("it", "kafka:9094")
    kafka._problem = None
    kafka.admin = admin  # type: ignore[assignment]
    return kafka


def test_each_tells_where_it_begins_and_ends() -> None:
    assert make_kafka(Admin()).read_watermarks(PLACES) == {("t", 0): (3, 7), ("t", 1): (3, 7)}
    assert make_kafka(Admin()).read_watermarks([]) == {}


def test_one_without_a_leader_is_left_out() -> None:
    assert make_kafka(Admin(from_try=99)).read_watermarks(PLACES) == {("t", 0): (3, 7)}


def test_with_patience_it_is_asked_again_and_alone() -> None:
    admin = Admin(from_try=2)
    assert make_kafka(admin).read_watermarks(PLACES, patience=20) == {("t", 0): (3, 7), ("t", 1): (3, 7)}
    assert admin.asked == [[0, 1], [0, 1], [1], [1], [1], [1]]


def test_patience_ends() -> None:
    assert make_kafka(Admin(from_try=99)).read_watermarks(PLACES, patience=0.5) == {("t", 0): (3, 7)}


def test_where_none_answers_in_time_kafka_does_not_answer() -> None:
    with pytest.raises(Unavailable, match="no Kafka answers at kafka:9094: not now"):
        make_kafka(Admin(from_try=99, error=KafkaError._TIMED_OUT, silent=2)).read_watermarks(PLACES)


def test_where_none_can_tell_that_can_be_shown_or_be_the_end() -> None:
    kafka = make_kafka(Admin(from_try=99, silent=2))
    assert kafka.read_watermarks(PLACES) == {}
    with pytest.raises(Unavailable, match="Kafka at kafka:9094 says: not now"):
        kafka.fail()


def test_a_connection_that_is_gone_is_not_taken_for_a_missing_leader() -> None:
    with pytest.raises(Unavailable, match="no Kafka answers"):
        make_kafka(Admin(from_try=99, error=KafkaError._TRANSPORT)).read_watermarks(PLACES)
