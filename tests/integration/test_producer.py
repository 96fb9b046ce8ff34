"""`KafkaProducer` on a real Kafka."""

from __future__ import annotations

import gc
import os
import threading
import uuid
import weakref
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from confluent_kafka import Message
from pydantic import BaseModel
from structlog.testing import capture_logs

from integration_helpers import headers_of, read_topic
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from support.kafka_broker import KafkaBroker
from telemetry.errors import ConfigurationError, DeliveryError, QueueFull

READING = {
    "schema_version": 1,
    "device": "DEV-01",
    "metrics": {"humidity": 20, "temperature": 20},
    "ts": "2026-02-20 22:45",
}


@pytest.fixture
def config(kafka: KafkaBroker) -> ProducerConfig:
    return ProducerConfig(bootstrap_servers=kafka.bootstrap_servers, linger_ms=0)


def test_the_interface_works_as_documented(
    kafka: KafkaBroker, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = unique("raw")
    kafka.create_topics([topic])
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)

    producer = KafkaProducer(config=ProducerConfig(), topic=topic)
    producer.produce(READING, key="DEV-01", headers=[("id", "a1")])
    assert producer.flush() == 0

    (message,) = read_topic(kafka, topic)
    assert message.key() == b"DEV-01"
    assert (
        message.value()
        == b'{"schema_version":1,"device":"DEV-01","metrics":{"humidity":20,"temperature":20},"ts":"2026-02-20 22:45"}'
    )
    assert headers_of(message) == {"id": "a1"}


class Reading(BaseModel):
    temperature: float
    at: datetime


def test_a_value_may_hold_what_python_programs_hold(kafka: KafkaBroker, topic: str, config: ProducerConfig) -> None:
    # Given a message of numbers, moments, ids and models as they come
    moment = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)
    value = {
        "id": uuid.UUID(int=7),
        "at": moment,
        "price": Decimal("20.50"),
        "mean": np.float32(20.5),
        "samples": np.array([1, 2]),
        "reading": Reading(temperature=20.5, at=moment),
    }
    # When
    with KafkaProducer(config, topic) as producer:
        producer.produce(value)
    # Then each is JSON, and the Decimal has kept its digits
    (message,) = read_topic(kafka, topic)
    assert message.value() == (
        b'{"id":"00000000-0000-0000-0000-000000000007","at":"2026-02-20T22:45:00Z","price":20.50,"mean":20.5,'
        b'"samples":[1,2],"reading":{"temperature":20.5,"at":"2026-02-20T22:45:00Z"}}'
    )


def test_what_json_can_not_hold_raises_at_once_and_is_not_sent(
    kafka: KafkaBroker, topic: str, config: ProducerConfig
) -> None:
    with KafkaProducer(config, topic) as producer:
        with pytest.raises(ValueError, match=r"^\$\.metrics\.humidity is nan"):
            producer.produce({"metrics": {"temperature": 20.5, "humidity": float("nan")}})
        with pytest.raises(TypeError, match=r"^\$\.metrics\[1\] is of type set"):
            producer.produce({"metrics": [1, {2}]})
        assert len(producer) == 0
    assert read_topic(kafka, topic) == []


@pytest.mark.parametrize(
    ("value", "sent"),
    [(b"\x00\xff", b"\x00\xff"), (None, None), ("text", b'"text"'), (5, b"5"), (b"", b"")],
    ids=repr,
)
def test_bytes_and_none_go_out_as_they_are_and_anything_else_as_json(
    kafka: KafkaBroker, topic: str, config: ProducerConfig, value: object, sent: bytes | None
) -> None:
    with KafkaProducer(config, topic) as producer:
        producer.produce(value)
    assert [message.value() for message in read_topic(kafka, topic)] == [sent]


@pytest.mark.parametrize(
    ("key", "sent"), [("DEV-é", "DEV-é".encode()), (b"\xff", b"\xff"), (None, None), ("", b"")], ids=repr
)
def test_a_key_is_text_bytes_or_none(
    kafka: KafkaBroker, topic: str, config: ProducerConfig, key: str | bytes | None, sent: bytes | None
) -> None:
    with KafkaProducer(config, topic) as producer:
        producer.produce(b"x", key)
    assert [message.key() for message in read_topic(kafka, topic)] == [sent]


@pytest.mark.parametrize(
    "headers",
    [
        [("id", "1"), ("device", b"D\xff"), ("id", None)],
        (("id", "1"), ("device", b"D\xff"), ("id", None)),
    ],
    ids=["list", "tuple"],
)
def test_headers_keep_their_order_and_may_repeat(
    kafka: KafkaBroker, topic: str, config: ProducerConfig, headers: list[tuple[str, str | bytes | None]]
) -> None:
    with KafkaProducer(config, topic) as producer:
        producer.produce(b"x", headers=headers)
    assert [message.headers() for message in read_topic(kafka, topic)] == [
        [("id", b"1"), ("device", b"D\xff"), ("id", None)]
    ]


def test_headers_may_be_a_mapping(kafka: KafkaBroker, topic: str, config: ProducerConfig) -> None:
    with KafkaProducer(config, topic) as producer:
        producer.produce(b"x", headers={"id": "1", "empty": None})
    assert [message.headers() for message in read_topic(kafka, topic)] == [[("id", b"1"), ("empty", None)]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": 5},
        {"key": "\ud800"},
        {"headers": [("a", 5)]},
        {"headers": [("a", "\ud800")]},
        {"headers": [(5, b"x")]},
        {"headers": [("\ud800", b"x")]},
        {"headers": [("a\0b", b"x")]},
        {"headers": ["id"]},
        {"headers": "id"},
    ],
    ids=ascii,
)
def test_a_key_or_header_that_kafka_can_not_take_raises_at_once(
    config: ProducerConfig, wrong: dict[str, object]
) -> None:
    with KafkaProducer(config, "t") as producer:
        with pytest.raises((TypeError, ValueError)):
            producer.produce(b"x", **wrong)  # type: ignore[arg-type]
        assert len(producer) == 0


class TestDeliveryReports:
    def test_the_caller_hears_of_each_message_once(self, kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
        topic = unique("raw")
        kafka.create_topics([topic], config={"max.message.bytes": "2000"})
        reports: list[tuple[str | None, bytes | None]] = []

        def note(error: DeliveryError | None, message: Message) -> None:
            reports.append((error.code if error else None, message.key()))

        with KafkaProducer(ProducerConfig(bootstrap_servers=kafka.bootstrap_servers, linger_ms=0), topic) as producer:
            producer.produce(b"small", key="a", on_delivery=note)
            producer.flush()
            producer.produce(os.urandom(5000), key="b", on_delivery=note)

        assert reports == [(None, b"a"), ("MSG_SIZE_TOO_LARGE", b"b")]

    def test_a_failure_that_nobody_was_told_of_is_raised_at_the_end(
        self, kafka: KafkaBroker, unique: Callable[[str], str], config: ProducerConfig
    ) -> None:
        topic = unique("raw")
        kafka.create_topics([topic], config={"max.message.bytes": "2000"})
        with pytest.raises(DeliveryError, match=topic) as caught, KafkaProducer(config, topic) as producer:
            producer.produce(os.urandom(5000))
        assert caught.value.code == "MSG_SIZE_TOO_LARGE"
        # It is told once.
        with producer:
            producer.produce(b"small")

    def test_an_error_of_the_body_is_not_hidden_by_one(
        self, kafka: KafkaBroker, unique: Callable[[str], str], config: ProducerConfig
    ) -> None:
        topic = unique("raw")
        kafka.create_topics([topic], config={"max.message.bytes": "2000"})
        producer = KafkaProducer(config, topic)
        producer.produce(os.urandom(5000))
        with pytest.raises(KeyError, match="mine"), producer:
            raise KeyError("mine")

    def test_a_message_larger_than_the_client_sends_is_refused_at_once(self, config: ProducerConfig) -> None:
        with KafkaProducer(config.model_copy(update={"message_max_bytes": 2000}), "t") as producer:
            with pytest.raises(DeliveryError, match=r"^t: ") as caught:
                producer.produce(bytes(5000))
            assert (caught.value.code, caught.value.fatal) == ("MSG_SIZE_TOO_LARGE", False)

    def test_an_unknown_topic_is_a_failed_delivery(self, unique: Callable[[str], str], config: ProducerConfig) -> None:
        reports: list[DeliveryError | None] = []
        # librdkafka takes a topic for missing once the broker has said so for 30 s.
        quick = config.model_copy(update={"properties": {"topic.metadata.propagation.max.ms": 100}})
        with KafkaProducer(quick, unique("missing")) as producer, capture_logs() as logs:
            producer.produce(b"x", key="DEV-01", on_delivery=lambda error, _: reports.append(error))
            assert producer.flush(30) == 0
        # Which of the two depends on who finds out first, the broker or the client.
        codes = [error.code for error in reports if error is not None]
        assert codes in (["UNKNOWN_TOPIC_OR_PART"], ["_UNKNOWN_TOPIC"])
        failed = next(event for event in logs if event["event"] == "message not delivered")
        assert (failed["topic"], failed["key"], failed["code"]) == (unique("missing"), "DEV-01", codes[0])

    def test_a_callback_that_raises_is_logged_and_disturbs_nobody(self, topic: str, config: ProducerConfig) -> None:
        heard: list[bytes | None] = []

        def note(error: DeliveryError | None, message: Message) -> None:
            heard.append(message.key())
            raise KeyError("mine")

        with capture_logs() as logs, KafkaProducer(config, topic) as producer:
            producer.produce(b"x", key="a", on_delivery=note)
            producer.flush()
            producer.produce(b"x", key="b", on_delivery=note)
        assert heard == [b"a", b"b"]
        assert [event["event"] for event in logs] == ["delivery callback failed"] * 2


class TestEncoded:
    """`produce_encoded`: many messages that are bytes already."""

    def test_each_goes_to_its_topic_as_it_is(
        self, kafka: KafkaBroker, topic: str, dlq: str, config: ProducerConfig
    ) -> None:
        failures: list[DeliveryError] = []
        with KafkaProducer(config, topic) as producer:
            producer.produce_encoded(
                [
                    (topic, b"1", b"a", [("id", b"7"), ("none", None)]),
                    (dlq, None, None, []),
                    (topic, b"2", None, [("id", b"8")]),
                ],
                failures.append,
            )
        first, second = sorted(read_topic(kafka, topic), key=lambda message: message.value() or b"")
        assert (first.value(), first.key(), first.headers()) == (b"1", b"a", [("id", b"7"), ("none", None)])
        assert (second.value(), second.key(), second.headers()) == (b"2", None, [("id", b"8")])
        assert [message.value() for message in read_topic(kafka, dlq)] == [None]
        assert failures == []

    def test_only_failures_are_told_and_they_stop_nothing(
        self, kafka: KafkaBroker, unique: Callable[[str], str], config: ProducerConfig
    ) -> None:
        # Given one that the broker refuses and one that the client does
        topic = unique("raw")
        kafka.create_topics([topic], config={"max.message.bytes": "2000"})
        failures: list[DeliveryError] = []
        with KafkaProducer(config.model_copy(update={"message_max_bytes": 10_000}), topic) as producer:
            producer.produce_encoded([(topic, os.urandom(5000), None, [])], failures.append)
            producer.flush()
            producer.produce_encoded([(topic, bytes(50_000), None, []), (topic, b"x", None, [])], failures.append)
        assert [error.code for error in failures] == ["MSG_SIZE_TOO_LARGE"] * 2
        assert [message.value() for message in read_topic(kafka, topic)] == [b"x"]

    def test_more_than_the_queue_holds_wait_for_room(
        self, kafka: KafkaBroker, topic: str, config: ProducerConfig
    ) -> None:
        failures: list[DeliveryError] = []
        small = config.model_copy(update={"queue_max_messages": 50})
        with KafkaProducer(small, topic, longest_wait=60) as producer:
            producer.produce_encoded(((topic, b"%d" % number, None, []) for number in range(1000)), failures.append)
        assert failures == []
        assert {message.value() for message in read_topic(kafka, topic)} == {b"%d" % number for number in range(1000)}

    def test_no_room_is_an_error(self) -> None:
        config = ProducerConfig(bootstrap_servers="127.0.0.1:1", queue_max_messages=3)
        producer = KafkaProducer(config, "t")
        with pytest.raises(QueueFull):
            producer.produce_encoded([("t", b"x", None, [])] * 4, lambda error: None)
        assert len(producer) == 3
        producer.purge()


def test_several_threads_may_share_one(kafka: KafkaBroker, topic: str, config: ProducerConfig) -> None:
    # Given threads that produce, with a queue so small that they wait for room, and one that flushes meanwhile
    threads, each = 4, 2_000
    reports: list[tuple[int, int, str | None]] = []
    errors: list[BaseException] = []
    producer = KafkaProducer(config.model_copy(update={"queue_max_messages": 500}), topic, longest_wait=60)

    def send(thread: int) -> None:
        def note(number: int) -> Callable[[DeliveryError | None, Message], None]:
            return lambda error, _: reports.append((thread, number, error.code if error else None))

        try:
            for number in range(each):
                producer.produce({"n": number}, key=f"{thread}", on_delivery=note(number))
        except BaseException as error:
            errors.append(error)

    senders = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        producer.flush(0.05)
    for sender in senders:
        sender.join(60)
    # When all is flushed
    assert producer.flush(30) == 0
    # Then each message was reported once, and each is in Kafka once, in its thread's order
    assert errors == []
    assert Counter(reports) == {(thread, number, None): 1 for thread in range(threads) for number in range(each)}
    found: dict[bytes | None, list[bytes | None]] = {}
    for message in read_topic(kafka, topic):
        found.setdefault(message.key(), []).append(message.value())
    assert found == {b"%d" % thread: [b'{"n":%d}' % number for number in range(each)] for thread in range(threads)}


def test_one_that_is_dropped_goes_at_once(topic: str, config: ProducerConfig) -> None:
    # Given a producer that was used, in a process that does not look for cycles
    gc.disable()
    try:
        producer = KafkaProducer(config, topic)
        producer.produce(b"x", on_delivery=lambda error, _: None)
        producer.produce_encoded([(topic, b"x", None, [])], lambda error: None)
        assert producer.flush(30) == 0
        left = weakref.ref(producer)
        # When nobody has it any more, Then it is gone
        del producer
        assert left() is None
    finally:
        gc.enable()


def test_a_misspelt_property_fails_at_start_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"KAFKA_PROPERTIES.*\"lingr\.ms\""):
        KafkaProducer(ProducerConfig(properties={"lingr.ms": 5}), "t")


@pytest.mark.parametrize("topic", ["", "a b", "..", "ä"])
def test_a_name_that_no_topic_can_have_fails_at_start(topic: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^topic: "):
        KafkaProducer(ProducerConfig(), topic)
