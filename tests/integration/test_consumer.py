"""`KafkaConsumer` on a real Kafka: what is handled, what is committed, and what becomes of the rest."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from consumers import Outgoing, Record, Reject, RetryLater
from consumers.config import ConsumerConfig
from consumers.kafka_consumer import KafkaConsumer
from integration_helpers import Collector, Running, committed, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry.errors import ConfigurationError, HandlerError

Run = Callable[..., Running]


def test_the_interface_works_as_documented(
    kafka: KafkaBroker, topic: str, monkeypatch: pytest.MonkeyPatch, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b'{"n":%d}' % number for number in range(250)])
    group = unique("group")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("KAFKA_GROUP_ID", group)
    handler = Collector()
    consumer = KafkaConsumer(
        config=ConsumerConfig(),
        topics=[topic],
        handler=handler,
        consume_timeout=1.0,
        decode_json=True,
        consume_batch=True,
        batch_max_size=100,
    )
    before = {number: signal.signal(number, consumer.stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stopper = threading.Thread(target=lambda: _term_when(lambda: len(handler.messages) == 250))
        stopper.start()
        consumer.start()
        stopper.join()
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)

    assert sorted(message["n"] for message in handler.messages) == list(range(250))
    assert max(len(call) for call in handler.calls) == 100
    assert sum(committed(kafka, group, topic, 3).values()) == 250


def _term_when(condition: Callable[[], bool]) -> None:
    wait_until(condition)
    signal.raise_signal(signal.SIGTERM)


def test_a_stop_that_comes_before_the_start_is_not_forgotten(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    handler = Collector()
    consumer = KafkaConsumer(
        ConsumerConfig(bootstrap_servers=kafka.bootstrap_servers, group_id=unique("group")), [topic], handler
    )
    send(kafka, topic, [b"1"])
    consumer.stop()
    consumer.start()
    assert handler.calls == []
    # What ended can be started again.
    again = Running(consumer)
    wait_until(lambda: handler.calls == [1])
    again.stop()


@pytest.mark.parametrize("commit", ["manual", "auto"])
def test_one_message_at_a_time_as_bytes(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str], commit: str
) -> None:
    send(kafka, topic, [b"\xff%d" % number for number in range(50)])
    handler, group = Collector(), unique("group")
    running = run_consumer(group=group, topics=[topic], handler=handler, decode_json=False, commit=commit)
    wait_until(lambda: len(handler.calls) == 50)
    running.stop()
    assert sorted(handler.calls) == sorted(b"\xff%d" % number for number in range(50))
    assert sum(committed(kafka, group, topic, 3).values()) == 50


def test_a_failing_message_is_tried_then_dead_lettered_while_others_go_on(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given a batch with one bad message, when it keeps failing, then only it becomes a dead letter."""
    send(kafka, topic, [b"0", b'"bad"', b"2"], partition=0)
    send(kafka, topic, [b"10", b"11"], partition=1)
    handled: list[Any] = []

    class Picky:
        def handle(self, payload: list[Any]) -> None:
            if "bad" in payload:
                raise ValueError("no strings here")
            handled.extend(payload)

    group = unique("group")
    running = run_consumer(
        group=group, topics=[topic], handler=Picky(), consume_batch=True, dlq_topic=dlq, max_attempts=3
    )
    wait_until(lambda: len(read_topic(kafka, dlq)) == 1)
    wait_until(lambda: sorted(handled) == [0, 2, 10, 11], hint=lambda: str(handled))
    running.stop()

    (letter,) = read_topic(kafka, dlq)
    assert letter.value() == b'"bad"'
    assert letter.key() == b"k1"
    headers = headers_of(letter)
    assert headers["id"] == "1"
    assert headers["__connect.errors.topic"] == topic
    assert headers["__connect.errors.partition"] == "0"
    assert headers["__connect.errors.offset"] == "1"
    assert headers["__connect.errors.stage"] == "handle"
    assert headers["__connect.errors.exception.class.name"] == "builtins.ValueError"
    assert headers["__connect.errors.exception.message"] == "ValueError: no strings here"
    assert headers["dlq.reason"] == "handler_failed"
    assert headers["dlq.attempts"] == "3"
    assert headers["dlq.consumer"] == group
    assert sum(committed(kafka, group, topic, 3).values()) == 5


def test_what_cannot_be_decoded_is_dead_lettered_untouched(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    damaged = [b"{", b"\xff\xfe", b"NaN", b"[" * 10_000]
    send(kafka, topic, [b"1", *damaged, b"2"], partition=0)
    handler = Collector()
    run_consumer(group=unique("group"), topics=[topic], handler=handler, consume_batch=True, dlq_topic=dlq)
    wait_until(lambda: len(read_topic(kafka, dlq)) == 4)
    wait_until(lambda: handler.messages == [1, 2])
    letters = read_topic(kafka, dlq)
    assert [letter.value() for letter in letters] == damaged
    assert [headers_of(letter)["dlq.reason"] for letter in letters] == ["not_json", "not_utf8", "not_json", "too_deep"]
    assert {headers_of(letter)["__connect.errors.stage"] for letter in letters} == {"decode"}


@pytest.mark.parametrize("raised", [True, False])
def test_reject_costs_only_the_message_that_it_names(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str], raised: bool
) -> None:
    send(kafka, topic, [b"%d" % number for number in range(10)], partition=0)
    handled: list[int] = []

    class NoSevens:
        def handle(self, payload: list[int]) -> list[Reject] | None:
            for index, number in enumerate(payload):
                if number == 7:
                    reject = Reject("seven", "sevens are not allowed", index=index)
                    if raised:
                        raise reject
                    handled.extend(number for number in payload if number != 7)
                    return [reject]
            handled.extend(payload)
            return None

    run_consumer(group=unique("group"), topics=[topic], handler=NoSevens(), consume_batch=True, dlq_topic=dlq)
    wait_until(lambda: len(read_topic(kafka, dlq)) == 1)
    wait_until(lambda: sorted(handled) == [0, 1, 2, 3, 4, 5, 6, 8, 9], hint=lambda: str(handled))
    (letter,) = read_topic(kafka, dlq)
    assert letter.value() == b"7"
    assert headers_of(letter)["dlq.reason"] == "seven"


def test_retry_later_holds_its_partition_only(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given a partition whose first message is not wanted yet, then the others go on, and its order holds."""
    send(kafka, topic, [b"0", b"1"], partition=0)
    send(kafka, topic, [b"10", b"11"], partition=1)
    open_now = threading.Event()
    handled: list[int] = []

    class Later:
        def handle(self, payload: int) -> None:
            if payload == 0 and not open_now.is_set():
                raise RetryLater("the database is away", after=0.05)
            handled.append(payload)

    running = run_consumer(group=unique("group"), topics=[topic], handler=Later())
    wait_until(lambda: sorted(handled) == [10, 11], hint=lambda: str(handled))
    wait_until(lambda: "the database is away" in (running.consumer.find_readiness_problem() or ""))
    open_now.set()
    wait_until(lambda: len(handled) == 4)
    assert [number for number in handled if number < 10] == [0, 1]
    wait_until(lambda: running.consumer.find_readiness_problem() is None)


def test_without_a_dead_letter_topic_it_stops_and_skips_nothing(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1", b"{", b"2"], partition=0)
    handler, group = Collector(), unique("group")
    running = run_consumer(group=group, topics=[topic], handler=handler)
    running.join()
    assert isinstance(running.error, HandlerError)
    assert f"{topic}[0] offset 1 can't be handled (not_json" in str(running.error)
    assert handler.calls == [1]
    assert committed(kafka, group, topic, 3)[0] == 1


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
@pytest.mark.parametrize("bad", [b"{", b'"bad"'], ids=["no JSON", "handler fails"])
def test_without_a_dead_letter_topic_what_came_before_is_handled_once(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str], batch: bool, bad: bytes
) -> None:
    """Given a message with nowhere to go, when consumer after consumer ends at it, then none repeats the others."""
    send(kafka, topic, [b"1", b"2", bad, b"3"], partition=0)
    handled: list[Any] = []

    class Picky:
        def handle(self, payload: Any) -> None:
            values = payload if isinstance(payload, list) else [payload]
            if "bad" in values:
                raise ValueError("no strings here")
            handled.extend(values)

    group = unique("group")
    for _ in range(2):
        running = run_consumer(
            group=group, topics=[topic], handler=Picky(), consume_batch=batch, commit="auto", max_attempts=1
        )
        running.join()
        assert isinstance(running.error, HandlerError)
        assert f"{topic}[0] offset 2 can't be handled" in str(running.error)
        assert committed(kafka, group, topic, 3)[0] == 2
    assert handled == [1, 2]


def test_a_dead_letter_topic_that_is_missing_holds_the_partition(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given no dead-letter topic yet, when it comes into being, then the message gets there and nothing was skipped."""
    send(kafka, topic, [b"{", b"2"], partition=0)
    send(kafka, topic, [b"10"], partition=1)
    missing, handler, group = unique("late") + ".dlq", Collector(), unique("group")
    quick = {"topic.metadata.propagation.max.ms": 300, "topic.metadata.refresh.interval.ms": 500}
    running = run_consumer(
        group=group, topics=[topic], handler=handler, dlq_topic=missing, settings={"properties": quick}
    )
    wait_until(lambda: running.consumer.find_readiness_problem() is not None and 10 in handler.messages)
    assert committed(kafka, group, topic, 3)[0] == 0
    kafka.create_topics([missing], partitions=1)
    wait_until(lambda: 2 in handler.messages)
    assert [letter.value() for letter in read_topic(kafka, missing)] == [b"{"]


def test_what_a_handler_yields_is_in_kafka_before_the_offset_moves(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    (output,) = kafka.create_topics([unique("clean")], partitions=1)
    send(kafka, topic, [b"1", b"2"], partition=0)

    class Doubler:
        wants_records = True

        def handle(self, payload: list[Record]) -> Any:
            for record in payload:
                yield Outgoing(value={"n": record.value * 2}, key=record.key, headers=[("id", record.header("id"))])

    group = unique("group")
    running = run_consumer(group=group, topics=[topic], handler=Doubler(), consume_batch=True, output_topic=output)
    wait_until(lambda: len(read_topic(kafka, output)) == 2)
    running.stop()
    assert [(m.value(), m.key(), headers_of(m)) for m in read_topic(kafka, output)] == [
        (b'{"n":2}', b"k0", {"id": "0"}),
        (b'{"n":4}', b"k1", {"id": "1"}),
    ]
    assert committed(kafka, group, topic, 3)[0] == 2


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_stop_in_the_middle_of_a_batch_with_a_bad_message_doubles_and_loses_nothing(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str], delivery: str
) -> None:
    (output,) = kafka.create_topics([unique("clean")], partitions=1)
    send(kafka, topic, [b"0", b"1", b"{", b"3", b"4"], partition=0)
    running: list[Running] = []

    class Stops:
        def handle(self, payload: list[int]) -> list[Outgoing]:
            running[-1].consumer.stop()
            return [Outgoing(value=number) for number in payload]

    group = unique("group")
    while not running or committed(kafka, group, topic, 3)[0] < 5:
        assert len(running) < 10
        running.append(
            run_consumer(
                group=group,
                topics=[topic],
                handler=Stops(),
                consume_batch=True,
                delivery=delivery,
                output_topic=output,
                dlq_topic=dlq,
            )
        )
        running[-1].join()
        assert running[-1].error is None
    assert [m.value() for m in read_topic(kafka, output, transactional=True)] == [b"0", b"1", b"3", b"4"]
    assert [m.value() for m in read_topic(kafka, dlq, transactional=True)] == [b"{"]


def test_an_output_that_kafka_never_takes_costs_only_its_message(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given a handler that makes too much of one message, then that is a dead letter, and the partition goes on."""
    (output,) = kafka.create_topics([unique("clean")], partitions=1)
    send(kafka, topic, [b"1", b"2", b"3"], partition=0)

    class Inflate:
        def handle(self, payload: list[int]) -> list[Outgoing]:
            return [Outgoing(value=os.urandom(3_000_000 if number == 2 else 10)) for number in payload]

    group = unique("group")
    running = run_consumer(
        group=group, topics=[topic], handler=Inflate(), consume_batch=True, output_topic=output, dlq_topic=dlq
    )
    wait_until(lambda: len(read_topic(kafka, dlq)) == 1)
    wait_until(lambda: committed(kafka, group, topic, 3)[0] == 3)
    running.stop()
    (letter,) = read_topic(kafka, dlq)
    assert letter.value() == b"2"
    assert headers_of(letter)["dlq.reason"] == "output_refused"


def test_settings_that_cannot_work_are_named() -> None:
    with pytest.raises(ConfigurationError, match="topics: 'a b' can't be a topic's name"):
        KafkaConsumer(ConsumerConfig(), ["a b"], Collector())
    consumer = KafkaConsumer(ConsumerConfig(properties={"fetch.mni.bytes": 1}), ["a"], Collector())
    with pytest.raises(ConfigurationError, match=r"KAFKA_PROPERTIES.*fetch\.mni\.bytes"):
        consumer.start()


def test_a_batch_of_large_messages_ends_before_the_memory_does(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    sizes: list[int] = []

    class Weigh:
        wants_bytes = True

        def handle(self, payload: list[bytes]) -> None:
            sizes.append(sum(map(len, payload)))

    send(kafka, topic, [b"x" * 900_000] * 60, partition=0)
    running = run_consumer(
        group=unique("group"), topics=[topic], handler=Weigh(), consume_batch=True, batch_max_size=500
    )
    wait_until(lambda: sum(sizes) == 60 * 900_000)
    running.stop()
    assert max(sizes) < 16 * 1024 * 1024 + 900_000
