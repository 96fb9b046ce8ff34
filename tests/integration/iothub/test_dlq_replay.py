"""A replay and the groups that read it: only the one that failed sees it again, whatever is killed in between."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client import REGISTRY

from consumers import Record, Reject
from consumers.telemetry_validator import TelemetryValidator
from integration.iothub.kafka_command import iothub, iothub_process, produce_letters
from integration_helpers import READING, Collector, Running, committed, count_messages, headers_of, read_topic, send
from iothub.kafka.replay import WINDOW
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Run = Callable[..., Running]


class Picky:
    """Refuses bad messages until told that it has been repaired; notes what it was handed."""

    wants_records = True

    def __init__(self) -> None:
        self.repaired = False
        self.handed: list[Record] = []

    def handle(self, payload: list[Record]) -> list[Reject]:
        self.handed += payload
        return [
            Reject("no_strings", "no strings here", index)
            for index, record in enumerate(payload)
            if isinstance(record.value, str) and not self.repaired
        ]

    @property
    def values(self) -> list[Any]:
        return [record.value for record in self.handed]


def replay(kafka: KafkaBroker, dlq: str, *arguments: str) -> dict[str, Any]:
    command = ("dlq", "replay", "--all", "--yes", "--rate", "100000", "--topic", dlq, "-o", "json")
    return dict(iothub(*command, *arguments, kafka=kafka.bootstrap_servers).document)


def outcomes(topic: str) -> dict[str, float]:
    names = ("handled", "skipped", "dead_lettered")
    found = {
        name: REGISTRY.get_sample_value("iothub_consumer_messages_total", {"topic": topic, "outcome": name})
        for name in names
    }
    return {name: value for name, value in found.items() if value is not None}


def test_only_the_group_that_failed_sees_a_replay(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given two groups of one topic, one of which dead-letters a message, when that is replayed, then for it alone."""
    picky, other = Picky(), Collector()
    alarm, storage = unique("alarm"), unique("storage")
    run_consumer(group=alarm, topics=[topic], handler=picky, consume_batch=True, dlq_topic=dlq)
    running = run_consumer(group=storage, topics=[topic], handler=other, consume_batch=True)
    send(kafka, topic, [b"1", b'"bad"', b"2"], partition=0)
    wait_until(lambda: count_messages(kafka, dlq) == 1 and len(other.messages) == 3)
    picky.repaired = True

    # When
    assert replay(kafka, dlq)["replayed"] == 1

    # Then both groups have moved on, and one of them has handled it
    wait_until(lambda: sum(committed(kafka, alarm, topic, 3).values()) == 4)
    wait_until(lambda: sum(committed(kafka, storage, topic, 3).values()) == 4)
    assert picky.values == [1, "bad", 2, "bad"]
    assert sorted(map(str, other.messages)) == ["1", "2", "bad"]
    assert running.error is None
    again = picky.handed[-1]
    assert again.header("id") == "1"
    assert (again.header("replay.attempt"), again.header("replay.group")) == ("1", alarm)
    # Of three messages and a replay: one dead letter and one skipped, the others handled by each group.
    assert outcomes(topic) == {"handled": 6, "dead_lettered": 1, "skipped": 1}


def test_what_another_group_cannot_even_decode_is_none_of_its_business(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    producer.produce(topic, b"{", partition=0, headers=[("replay.group", b"somebody else")])
    producer.produce(topic, b"1", partition=0)
    producer.flush(10)
    handler, group = Collector(), unique("g")
    run_consumer(group=group, topics=[topic], handler=handler, dlq_topic=dlq)
    wait_until(lambda: committed(kafka, group, topic, 3)[0] == 2)
    assert handler.messages == [1]
    assert count_messages(kafka, dlq) == 0


def test_a_loop_ends(kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]) -> None:
    """Given a handler that never takes a message, when its dead letters are replayed, then three times in all."""
    picky = Picky()
    run_consumer(group=unique("alarm"), topics=[topic], handler=picky, consume_batch=True, dlq_topic=dlq)
    send(kafka, topic, [b'"bad"'])
    for number in range(1, 4):
        wait_until(lambda number=number: count_messages(kafka, dlq) == number)  # type: ignore[misc]
        assert replay(kafka, dlq)["replayed"] == 1
    wait_until(lambda: count_messages(kafka, dlq) == 4)
    assert replay(kafka, dlq) == {
        "replayed": 0,
        "left_out": {"replayed": 3, "attempts": 1},
        "failed": {},
        "unmarked": [],
        "not_tried": 0,
    }
    letters = [headers_of(letter) for letter in read_topic(kafka, dlq)]
    assert {letter["id"] for letter in letters} == {"0"}
    assert [letter.get("replay.attempt") for letter in letters] == [None, "1", "2", "3"]
    assert picky.values == ["bad"] * 4
    # Who has thought about it can let it go on.
    assert replay(kafka, dlq, "--max-attempts", "4")["replayed"] == 1


def test_what_the_validator_makes_of_a_replay_is_for_every_group(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given a raw message that is replayed for the validator, then the groups of the clean topic handle it."""
    (clean,) = kafka.create_topics([unique("clean")], partitions=1)
    validators = unique("validators")
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    produce_letters(producer, dlq, [READING], topic=topic, consumer=validators)
    assert replay(kafka, dlq)["replayed"] == 1
    run_consumer(group=validators, topics=[topic], handler=TelemetryValidator(), consume_batch=True, output_topic=clean)
    handler = Collector()
    run_consumer(group=unique("storage"), topics=[clean], handler=handler)
    wait_until(lambda: len(handler.messages) == 1)
    (message,) = read_topic(kafka, clean)
    headers = headers_of(message)
    assert not [name for name in headers if name.startswith("replay.")]
    assert (headers["id"], headers["source"], headers["raw_topic"]) == ("0", "mqtt", topic)


@pytest.mark.parametrize("most", [30, 400])
def test_killed_in_the_middle_it_leaves_nothing_out(kafka: KafkaBroker, topic: str, dlq: str, most: int) -> None:
    """Given a replay that is killed, when it is started again, then at most what was in flight comes twice."""
    number = 1000
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    produce_letters(producer, dlq, [b'{"n":%d}' % n for n in range(number)], topic=topic)
    command = ("dlq", "replay", "--all", "--yes", "--rate", "400", "--topic", dlq)
    with iothub_process(*command, kafka=kafka.bootstrap_servers) as process:
        wait_until(lambda: count_messages(kafka, topic) >= most, interval=0.01)
        process.kill()
        process.wait(20)
    before = count_messages(kafka, topic)
    assert before < number, "it was over before it was killed"

    rest = replay(kafka, dlq)
    assert replay(kafka, dlq)["replayed"] == 0

    seen = Counter(json.loads(message.value() or b"")["n"] for message in read_topic(kafka, topic))
    assert set(seen) == set(range(number))
    assert sum(seen.values()) == before + rest["replayed"]
    assert sum(seen.values()) - number <= WINDOW


def test_ctrl_c_ends_it_in_order_with_nothing_twice(kafka: KafkaBroker, topic: str, dlq: str) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
    produce_letters(producer, dlq, [b"{}"] * 300, topic=topic)
    command = ("dlq", "replay", "--all", "--yes", "--rate", "100", "--topic", dlq)
    with iothub_process(*command, kafka=kafka.bootstrap_servers) as process:
        wait_until(lambda: count_messages(kafka, topic) >= 20, interval=0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped; the same command goes on from here"
    assert out == f"replayed: {count_messages(kafka, topic)}\n"
    assert count_messages(kafka, topic) < 300
    replay(kafka, dlq)
    assert count_messages(kafka, topic) == 300
