"""A producer whose queue is full, on a real Kafka that stands still, or on none: each policy, and what `flush` says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Message

from integration_helpers import read_topic
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer, OnFull
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from telemetry import metrics
from telemetry.errors import DeliveryError, QueueFull

ROOM = 3


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker that these tests freeze; it runs between them."""
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def frozen(own_kafka: KafkaBroker, unique: Callable[[str], str]) -> Iterator[tuple[KafkaBroker, KafkaProducer, str]]:
    """A broker that stands still, and a producer that has sent it one message and is full of others since."""
    (topic,) = own_kafka.create_topics([unique("raw")], partitions=1)
    config = ProducerConfig(bootstrap_servers=own_kafka.bootstrap_servers, linger_ms=0, queue_max_messages=ROOM)
    producer = KafkaProducer(config, topic)
    producer.produce(b"first")
    assert producer.flush(30) == 0
    own_kafka.pause()
    for number in range(ROOM):
        producer.produce(b"%d" % number)
    yield own_kafka, producer, topic
    own_kafka.resume()
    assert producer.flush(60) == 0


def values(kafka: KafkaBroker, topic: str) -> list[bytes | None]:
    return [message.value() for message in read_topic(kafka, topic)]


def test_wait_gives_up_after_a_second(frozen: tuple[KafkaBroker, KafkaProducer, str]) -> None:
    kafka, producer, topic = frozen
    started = time.monotonic()
    with pytest.raises(QueueFull, match=r"it holds 3 messages \(KAFKA_QUEUE_MAX_MESSAGES\)") as caught:
        producer.produce(b"refused")
    assert 1.0 <= time.monotonic() - started < 5.0
    assert caught.value.code == "_QUEUE_FULL"
    # What was refused is not sent later; what was queued is.
    kafka.resume()
    assert producer.flush(60) == 0
    assert values(kafka, topic) == [b"first", b"0", b"1", b"2"]


def test_wait_goes_on_as_soon_as_there_is_room(frozen: tuple[KafkaBroker, KafkaProducer, str]) -> None:
    kafka, producer, topic = frozen
    timer = threading.Timer(0.2, kafka.resume)
    timer.start()
    assert producer.produce(b"patient") is True
    timer.join()
    assert producer.flush(60) == 0
    assert values(kafka, topic) == [b"first", b"0", b"1", b"2", b"patient"]


def test_the_longest_wait_is_the_callers_choice() -> None:
    config = ProducerConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", queue_max_messages=ROOM)
    producer = KafkaProducer(config, "t", longest_wait=0.2)
    for _ in range(ROOM):
        producer.produce(b"x")
    started = time.monotonic()
    with pytest.raises(QueueFull):
        producer.produce(b"refused")
    assert 0.2 <= time.monotonic() - started < 0.9
    producer.purge()


def test_raise_does_not_wait(frozen: tuple[KafkaBroker, KafkaProducer, str]) -> None:
    _, producer, _ = frozen
    started = time.monotonic()
    for _ in range(5):
        with pytest.raises(QueueFull):
            producer.produce(b"refused", on_full="raise")
    assert time.monotonic() - started < 1.0
    assert len(producer) == ROOM


def test_drop_says_so_and_counts(frozen: tuple[KafkaBroker, KafkaProducer, str]) -> None:
    kafka, producer, topic = frozen
    before = metrics.PRODUCER_DROPPED._value.get()
    reports: list[DeliveryError | None] = []

    def note(error: DeliveryError | None, _: Message) -> None:
        reports.append(error)

    assert [producer.produce(b"dropped", on_delivery=note, on_full="drop") for _ in range(4)] == [False] * 4
    assert metrics.PRODUCER_DROPPED._value.get() - before == 4
    kafka.resume()
    assert producer.flush(60) == 0
    # A dropped message has no delivery to report.
    assert reports == []
    assert values(kafka, topic) == [b"first", b"0", b"1", b"2"]


def test_the_queue_is_bounded_by_bytes_too(own_kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    (topic,) = own_kafka.create_topics([unique("raw")], partitions=1)
    config = ProducerConfig(bootstrap_servers=own_kafka.bootstrap_servers, linger_ms=60_000, queue_max_kbytes=1)
    producer = KafkaProducer(config, topic)
    assert producer.produce(bytes(1000)) is True
    with pytest.raises(QueueFull, match=r"or 1 KiB \(KAFKA_QUEUE_MAX_KBYTES\)"):
        producer.produce(bytes(1000), on_full="raise")
    producer.purge()


def test_flush_says_how_many_are_on_their_way(frozen: tuple[KafkaBroker, KafkaProducer, str]) -> None:
    kafka, producer, _ = frozen
    started = time.monotonic()
    assert producer.flush(0.3) == ROOM
    assert 0.3 <= time.monotonic() - started < 3.0
    assert producer.flush(0) == ROOM
    kafka.resume()
    assert producer.flush() == 0


def test_purge_gives_up_and_each_report_says_so(own_kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    (topic,) = own_kafka.create_topics([unique("raw")], partitions=1)
    codes: list[str | None] = []
    config = ProducerConfig(bootstrap_servers=own_kafka.bootstrap_servers, linger_ms=60_000)
    producer = KafkaProducer(config, topic)
    for _ in range(ROOM):
        producer.produce(b"x", on_delivery=lambda error, _: codes.append(error.code if error else None))
    producer.purge()
    assert producer.flush(5) == 0
    assert codes == ["_PURGE_QUEUE"] * ROOM


class TestWithoutAnyKafka:
    @pytest.fixture
    def full(self) -> Iterator[KafkaProducer]:
        config = ProducerConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", queue_max_messages=ROOM)
        producer = KafkaProducer(config, "t")
        for _ in range(ROOM):
            producer.produce(b"x")
        yield producer
        producer.purge()

    @pytest.mark.parametrize("policy", ["wait", "raise"])
    def test_a_full_queue_raises(self, full: KafkaProducer, policy: OnFull) -> None:
        with pytest.raises(QueueFull, match="the producer's queue is full"):
            full.produce(b"x", on_full=policy)
        assert full.flush(0.1) == ROOM

    def test_or_drops_where_the_caller_chose_so(self, full: KafkaProducer) -> None:
        assert full.produce(b"x", on_full="drop") is False
        assert full.flush(0.1) == ROOM

    def test_a_message_is_given_up_after_its_time(self) -> None:
        config = ProducerConfig(bootstrap_servers=f"127.0.0.1:{free_port()}", message_timeout_ms=300)
        reports: list[DeliveryError | None] = []
        with KafkaProducer(config, "t") as producer:
            producer.produce(b"x", on_delivery=lambda error, _: reports.append(error))
        assert [error.code for error in reports if error is not None] == ["_MSG_TIMED_OUT"]
