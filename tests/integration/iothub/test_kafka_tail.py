"""``iothub tail``: what it shows of a topic, where it begins and ends, and what it leaves alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer

from integration.iothub.kafka_command import in_memory_kafka, iothub, iothub_process, produce_letters
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

BEGAN = int(time.time() * 1000) - 600_000
"""Ten minutes ago, in milliseconds: Kafka takes no timestamps of the future."""
STEP = 100


@pytest.fixture
def producer(kafka: KafkaBroker) -> Producer:
    return Producer({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})


def fill(producer: Producer, topic: str, number: int, *, partitions: int = 3) -> None:
    """Write messages n = 0, 1, 2 …, from ten minutes ago on, to one partition after the other."""
    failed: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error.str())

    for n in range(number):
        producer.produce(
            topic,
            b'{"n":%d}' % n,
            key=f"D{n % 2}",
            partition=n % partitions,
            timestamp=BEGAN + n * STEP,
            headers={"parity": "odd" if n % 2 else "even"},
            on_delivery=delivered,
        )
    assert (producer.flush(30), failed) == (0, [])


def read(address: str, topic: str, *arguments: str) -> list[dict[str, Any]]:
    answer = iothub("tail", topic, "--no-follow", "--json", *arguments, kafka=address)
    assert (answer.code, answer.err) == (0, f"waiting for Kafka at {address} …\n")
    return [json.loads(line) for line in answer.out.splitlines()]


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [record["value"]["n"] for record in found]


def test_all_of_it_in_order_of_time_over_the_partitions(kafka: KafkaBroker, topic: str, producer: Producer) -> None:
    fill(producer, topic, 5000)
    found = read(kafka.bootstrap_servers, topic)
    assert numbers(found) == list(range(5000))
    assert found[4] == {
        "topic": topic,
        "partition": 1,
        "offset": 1,
        "timestamp": datetime.fromtimestamp((BEGAN + 4 * STEP) / 1000, UTC).isoformat().replace("+00:00", "Z"),
        "key": "D0",
        "headers": {"parity": "even"},
        "value": {"n": 4},
        "encoding": "json",
    }


def test_where_to_begin_and_which(kafka: KafkaBroker, topic: str, producer: Producer) -> None:
    fill(producer, topic, 60)
    address = kafka.bootstrap_servers
    moment = datetime.fromtimestamp((BEGAN + 50 * STEP) / 1000, UTC)
    assert numbers(read(address, topic, "--from", "-7")) == list(range(53, 60))
    assert numbers(read(address, topic, "--from", "-1000")) == list(range(60))
    assert numbers(read(address, topic, "--from", moment.isoformat())) == list(range(50, 60))
    assert numbers(read(address, topic, "--from", "2h ago")) == list(range(60))
    assert read(address, topic, "--from", "1s ago") == []
    assert read(address, topic, "--from", "end") == []
    assert numbers(read(address, topic, "--limit", "3")) == [0, 1, 2]
    assert numbers(read(address, topic, "--device", "D1", "--limit", "2")) == [1, 3]
    assert numbers(read(address, topic, "--header", "parity=even", "--from", "-4")) == [56, 58]
    assert read(address, topic, "--device", "D1", "--header", "parity=even") == []


def test_the_last_ones_may_all_lie_in_one_partition(kafka: KafkaBroker, topic: str, producer: Producer) -> None:
    fill(producer, topic, 3)
    for n in range(3, 9):
        producer.produce(topic, b'{"n":%d}' % n, partition=2, timestamp=BEGAN + n * STEP)
    producer.flush(10)
    assert numbers(read(kafka.bootstrap_servers, topic, "--from", "-5")) == [4, 5, 6, 7, 8]


def test_whatever_a_device_sends_the_terminal_gets_only_printable_characters(
    kafka: KafkaBroker, topic: str, producer: Producer
) -> None:
    producer.produce(topic, b"\x1b]0;owned\x07 \xff", key=b"D\x1b[2J", partition=0, timestamp=BEGAN)
    producer.flush(10)
    answer = iothub("tail", topic, "--no-follow", kafka=kafka.bootstrap_servers)
    stamp = datetime.fromtimestamp(BEGAN / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert answer.out == rf"{stamp}  0:0  D\x1b[2J  \x1b]0;owned\x07 \xff" + "\n"
    (document,) = read(kafka.bootstrap_servers, topic)
    assert (document["value"], document["encoding"]) == ("G10wO293bmVkByD/", "base64")


def test_dead_letters_say_why_and_can_be_chosen_by_it(kafka: KafkaBroker, dlq: str, producer: Producer) -> None:
    produce_letters(producer, dlq, [b"{"], topic="telemetry.raw", reason="not_json")
    produce_letters(producer, dlq, [b"{}"], topic="telemetry.raw", reason="bad_ts", first=1)
    (found,) = read(kafka.bootstrap_servers, dlq, "--reason", "bad_ts")
    assert found["headers"]["id"] == "1"
    text = iothub("tail", dlq, "--no-follow", "--reason", "not_json", kafka=kafka.bootstrap_servers).out
    assert text.endswith("0:0  D0  [not_json] 'ts' is no time  {\n")


def test_it_follows_until_ctrl_c(kafka: KafkaBroker, topic: str, producer: Producer) -> None:
    fill(producer, topic, 3)
    with iothub_process("tail", topic, "--from", "-1", "--json", kafka=kafka.bootstrap_servers) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["value"] == {"n": 2}
        for n in range(3, 6):
            producer.produce(topic, b'{"n":%d}' % n, partition=n % 3)
            producer.flush(10)
            assert json.loads(process.stdout.readline())["value"] == {"n": n}
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines() == [
        f"waiting for Kafka at {kafka.bootstrap_servers} …",
        f"following {topic}, Ctrl-C ends it …",
    ]


def test_from_the_end_only_what_comes_is_shown(kafka: KafkaBroker, topic: str, producer: Producer) -> None:
    fill(producer, topic, 30)
    with iothub_process("tail", topic, "--json", "--limit", "1", kafka=kafka.bootstrap_servers) as process:

        def ended() -> bool:
            # When it has begun is known only from what it shows.
            producer.produce(topic, b'{"n":-1}')
            producer.flush(10)
            return process.poll() is not None

        wait_until(ended)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [json.loads(line)["value"] for line in out.splitlines()] == [{"n": -1}]


def test_a_reader_that_has_seen_enough_ends_it_quietly(kafka: KafkaBroker, topic: str, producer: Producer) -> None:
    """Given a pipe whose reader goes, as head does, when more is to be written, then it ends without a word."""
    fill(producer, topic, 5000)
    with iothub_process("tail", topic, "--no-follow", kafka=kafka.bootstrap_servers) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == f"waiting for Kafka at {kafka.bootstrap_servers} …\n"


def test_transactions_that_were_aborted_are_not_shown_and_their_marks_end_it_no_less(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": unique("t")})
    producer.init_transactions(30)
    for number, end in enumerate((producer.commit_transaction, producer.abort_transaction)):
        producer.begin_transaction()
        for _ in range(5):
            producer.produce(topic, b'{"n":%d}' % number, partition=0)
        # One that Kafka has heard nothing of can't be ended.
        assert producer.flush(30) == 0
        end(30)
    assert numbers(read(kafka.bootstrap_servers, topic)) == [0] * 5


def test_an_empty_topic_has_nothing_to_show(kafka: KafkaBroker, topic: str) -> None:
    assert read(kafka.bootstrap_servers, topic) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "nowhere"], "'nowhere' is no place in a topic"),
        (["--header", "novalue"], "'novalue' is no header to look for: write --header name=value"),
    ],
)
def test_what_cannot_be_meant(kafka: KafkaBroker, topic: str, arguments: list[str], words: str) -> None:
    answer = iothub("tail", topic, *arguments, kafka=kafka.bootstrap_servers)
    assert answer.code == 2
    assert words in answer.sentence


def test_a_topic_that_does_not_exist(kafka: KafkaBroker, topic: str) -> None:
    sentence = iothub("tail", topic + "s", kafka=kafka.bootstrap_servers).sentence
    assert (
        sentence == f"there is no topic {topic + 's'!r} in Kafka at {kafka.bootstrap_servers}; did you mean {topic!r}?"
    )


def test_the_kafka_in_memory_too() -> None:
    """It finds no offsets by time, so all of the topic is read for one; and nobody makes a topic by looking."""
    with in_memory_kafka() as (address, producer):
        fill(producer, "telemetry.raw", 60, partitions=4)
        moment = datetime.fromtimestamp((BEGAN + 50 * STEP) / 1000, UTC)
        assert numbers(read(address, "telemetry.raw")) == list(range(60))
        assert numbers(read(address, "telemetry.raw", "--from", "-7")) == list(range(53, 60))
        assert numbers(read(address, "telemetry.raw", "--from", moment.isoformat())) == list(range(50, 60))
        assert numbers(read(address, "telemetry.raw", "--from", (moment + timedelta(hours=1)).isoformat())) == []
        assert "there is no topic 'other'" in iothub("tail", "other", kafka=address).sentence
        assert [row[0] for row in iothub("topics", kafka=address).rows] == ["telemetry.raw"]
