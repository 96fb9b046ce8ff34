"""From a connection into Kafka and back: over librdkafka's own broker in memory, or where none answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingestion.intake import Intake
from ingestion.publish_packets import Publish
from ingestion.record import RawRecord
from ingestion.settings import IngestionSettings, MqttSettings
from ingestion.taking import Taker
from producers.config import ProducerConfig
from support.waiting import wait_until
from telemetry.errors import DeliveryError

NOBODY = {"bootstrap_servers": "127.0.0.1:1"}
IN_MEMORY = {"properties": {"test.mock.num.brokers": 1}}
MakeIntake = Callable[..., Intake]


@pytest.fixture
def make_intake() -> Iterator[MakeIntake]:
    made: list[Intake] = []

    def make(**config: Any) -> Intake:
        intake = Intake(ProducerConfig(linger_ms=0, **config), IngestionSettings(), source="mqtt", name="test")
        made.append(intake)
        return intake

    yield make
    for intake in made:
        intake.close()


class Connection:
    """What a `Taker` has added, and how often it was told to send it."""

    def __init__(self, intake: Intake, *, most_messages: int = 1000, **settings: Any) -> None:
        self.acknowledged: list[int] = []
        self.flushed: list[int] = []
        self.taker = Taker(
            MqttSettings(**settings),
            intake,
            most_messages=most_messages,
            add_puback=self.acknowledged.append,
            flush=lambda: self.flushed.append(len(self.acknowledged)),
        )

    def settle(self, number: int) -> None:
        def settled() -> bool:
            self.taker.poll(0.1)
            return len(self.acknowledged) == number

        wait_until(settled, what=f"{number} acknowledgements")


def messages(*mids: int, size: int = 10, **changes: Any) -> list[Publish]:
    return [Publish(b"telemetry/DEV-01", b"x" * size, 1, mid, **changes) for mid in mids]


def test_what_kafka_has_is_acknowledged_in_order_and_sent(make_intake: MakeIntake) -> None:
    connection = Connection(make_intake(**IN_MEMORY))
    connection.taker.take(messages(3, 1, 2))
    connection.taker.take(messages(9))
    connection.settle(4)
    assert connection.acknowledged == [3, 1, 2, 9]
    assert connection.flushed[-1] == 4
    assert connection.taker.unacknowledged == 0


def test_qos_0_is_taken_and_not_acknowledged(make_intake: MakeIntake) -> None:
    intake = make_intake(**IN_MEMORY)
    connection = Connection(intake)
    connection.taker.take([Publish(b"telemetry/DEV-01", b"x", 0), *messages(7)])
    connection.settle(1)
    assert connection.acknowledged == [7]
    assert intake.flush(10) == 0


def test_what_was_retained_is_left_out_where_that_is_wanted(make_intake: MakeIntake) -> None:
    intake = make_intake(**NOBODY)
    connection = Connection(intake, retained="skip")
    connection.taker.take(messages(1, 2, retained=True))
    assert connection.acknowledged == [1, 2]
    assert intake.queued == 0


def test_without_room_nothing_is_taken_and_nothing_overtakes(make_intake: MakeIntake) -> None:
    # Given a Kafka that does not answer, and room for one of these messages
    intake = make_intake(**NOBODY)
    connection = Connection(intake, max_in_flight_bytes=1024 * 1024, keepalive_seconds=5)
    large = 700_000
    # When more come
    began = time.monotonic()
    connection.taker.take([*messages(1, 2, size=large), *messages(3)])
    # Then it has waited for room, and the rest is the broker's to send again
    assert time.monotonic() - began >= 2.5
    assert connection.taker.given_up is not None
    assert connection.taker.given_up.reason == "no_room"
    assert (intake.queued, intake.queued_bytes) == (1, large)
    assert not connection.taker.has_room(large)
    assert connection.taker.has_room(1000)
    # And also what comes later, until there is a new connection
    connection.taker.take(messages(4))
    assert intake.queued == 1
    connection.taker.forget_connection()
    connection.taker.begin_again()
    connection.taker.take(messages(4))
    assert intake.queued == 2
    assert connection.acknowledged == []


def test_the_number_of_messages_has_its_bound_too(make_intake: MakeIntake) -> None:
    intake = make_intake(**NOBODY)
    connection = Connection(intake, most_messages=3, keepalive_seconds=5)
    connection.taker.take(messages(1, 2, 3, 4))
    assert intake.queued == 3
    assert connection.taker.given_up is not None


def test_one_message_is_always_taken(make_intake: MakeIntake) -> None:
    intake = make_intake(**NOBODY)
    connection = Connection(intake, max_in_flight_bytes=1024 * 1024)
    connection.taker.take(messages(1, size=5_000_000))
    assert intake.queued == 1


def test_who_waits_for_room_is_not_waited_for_at_the_end(make_intake: MakeIntake) -> None:
    intake = make_intake(**NOBODY)
    connection = Connection(intake, max_in_flight_bytes=1024 * 1024, keepalive_seconds=600)
    reader = threading.Thread(target=connection.taker.take, args=(messages(1, 2, size=700_000),))
    reader.start()
    wait_until(lambda: intake.queued == 1)
    connection.taker.close()
    reader.join(10)
    assert not reader.is_alive()
    connection.taker.take(messages(3))
    assert intake.queued == 1


def test_one_that_kafka_does_not_take_asks_for_a_new_connection(make_intake: MakeIntake) -> None:
    intake = make_intake(**NOBODY)
    connection = Connection(intake)
    connection.taker.take(messages(1, 2))
    intake.close()  # gives up what waits
    connection.taker.poll(0.1)
    assert connection.taker.given_up is not None
    assert connection.taker.given_up.reason == "failed"
    assert connection.acknowledged == []
    connection.taker.take(messages(3))
    assert intake.queued == 0


def test_a_connection_can_be_passed_over(make_intake: MakeIntake) -> None:
    intake = make_intake(**NOBODY)
    connection = Connection(intake)
    connection.taker.pass_over()
    connection.taker.take(messages(1))
    assert (intake.queued, connection.taker.unacknowledged, connection.taker.given_up) == (0, 0, None)
    connection.taker.begin_again()
    connection.taker.take(messages(1))
    assert intake.queued == 1


class TestMany:
    def test_each_is_told_by_its_place(self, make_intake: MakeIntake) -> None:
        intake = make_intake(**IN_MEMORY)
        told: list[tuple[int, DeliveryError | None]] = []
        intake.submit_all(
            (RawRecord("k", b"x", []) for _ in range(5)), lambda place, error: told.append((place, error))
        )
        assert intake.queued == 5
        assert intake.flush(10) == 0
        assert sorted(told, key=lambda each: each[0]) == [(place, None) for place in range(5)]
        assert intake.queued == 0

    def test_none_overtakes_one_that_found_no_room(self, make_intake: MakeIntake) -> None:
        intake = make_intake(**NOBODY, queue_max_messages=2)
        told: list[tuple[int, str | None]] = []
        intake.submit_all(
            (RawRecord("k", b"x", []) for _ in range(5)),
            lambda place, error: told.append((place, error.code if error else None)),
        )
        assert told == [(place, "_QUEUE_FULL") for place in (2, 3, 4)]
        assert intake.queued == 2
