"""``iothub dlq``: dead letters counted, shown, and put back, on a real Kafka and on the one in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from integration.iothub.kafka_command import Answer, in_memory_kafka, iothub, iothub_process, produce_letters, terminal
from integration_helpers import headers_of, read_topic
from iothub.kafka.client import connect
from iothub.kafka.marks import read_marks
from iothub.target import Target
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES


@pytest.fixture
def producer(kafka: KafkaBroker) -> Producer:
    return Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "message.max.bytes": DLQ_MAX_MESSAGE_BYTES,
            "log_level": 0,
        }
    )


class Dlq:
    """The commands, on one dead-letter topic."""

    def __init__(self, address: str, topic: str) -> None:
        self._address = address
        self._topic = topic

    def run(self, *arguments: str) -> Answer:
        return iothub("dlq", *arguments, "--topic", self._topic, kafka=self._address)

    def replay(self, *arguments: str) -> dict[str, Any]:
        answer = self.run("replay", *arguments, "--yes", "--rate", "10000", "-o", "json")
        return dict(answer.document)

    def counts(self, *arguments: str) -> dict[str | None, tuple[int, int]]:
        """Return how many there are of each kind, and how many of these were replayed."""
        rows = self.run("ls", *arguments, "-o", "json").document
        return {next(iter(row.values())): (row["dead_letters"], row["replayed"]) for row in rows}


@pytest.fixture
def letters(kafka: KafkaBroker, dlq: str) -> Dlq:
    return Dlq(kafka.bootstrap_servers, dlq)


def test_counted_by_anything(kafka: KafkaBroker, dlq: str, letters: Dlq, producer: Producer) -> None:
    produce_letters(producer, dlq, [b"{}"] * 8, topic="a", reason="bad_ts", consumer="validators")
    produce_letters(producer, dlq, [b"{}"] * 4, topic="b", reason="handler_failed", consumer="alarm", stage="handle")
    assert letters.counts() == {"bad_ts": (8, 0), "handler_failed": (4, 0)}
    assert letters.counts("--by", "device") == {f"D{number}": (3, 0) for number in range(4)}
    assert letters.counts("--by", "consumer") == {"validators": (8, 0), "alarm": (4, 0)}
    assert letters.counts("--by", "topic") == {"a": (8, 0), "b": (4, 0)}
    assert letters.counts("--by", "stage") == {"validate": (8, 0), "handle": (4, 0)}
    assert letters.counts("--device", "D1", "--consumer", "validators") == {"bad_ts": (2, 0)}
    assert letters.counts("--since", "1h ago", "--reason", "handler_failed") == {"handler_failed": (4, 0)}
    assert letters.counts("--until", "1h ago") == {}
    (first, *_) = letters.run("ls").rows
    assert first[:3] == ["bad_ts", "8", "0"]
    assert letters.run("show", first[-1]).code == 0


def test_none_are_told_as_such(dlq: str, letters: Dlq, producer: Producer) -> None:
    assert f"There are no dead letters in {dlq}.\n" in letters.run("ls").err
    produce_letters(producer, dlq, [b"{}"], topic="a", reason="bad_ts", consumer="validators")
    assert f"There are no dead letters in {dlq} that pass these filters.\n" in letters.run("ls", "--reason", "x").err
    assert "There are no" not in letters.run("ls").err


def test_everything_about_one(dlq: str, letters: Dlq, producer: Producer, topic: str) -> None:
    produce_letters(producer, dlq, [b'{"n":0}', b"\xff\x00\x1b[31m"], topic=topic)
    text = letters.run("show", "0:1").out
    assert r"ff 00 1b 5b 33 31 6d" in text
    assert f"put it into {topic} for the group alarm, as its replay number 1" in text
    assert "\x1b" not in text
    document = letters.run("show", "--id", "0", "-o", "json").document
    assert (document["offset"], document["value"], document["reason"]) == (0, {"n": 0}, "bad_ts")
    assert document["origin"] == {"topic": topic, "partition": 0, "offset": 0}
    assert document["attempts"] == 1
    assert document["replay"] == {"dead_letter": "0:0", "id": "0", "to": topic, "group": "alarm", "attempt": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "0:99"], "has nothing at 0:99 (any more)"),
        (["show", "7:0"], "has no partition 7"),
        (["show", "first"], "'first' is no place of a dead letter: write PARTITION:OFFSET"),
        (["show", "--id", "nobody"], "has no dead letter with the id 'nobody'"),
        (["show"], "say which dead letter"),
        (["show", "0:0", "--id", "1"], "say which dead letter"),
        (["ls", "--since", "soon"], "'soon' is no time"),
        (["replay"], "say which dead letters: --reason, --device"),
        (["replay", "--all"], "nobody is there to confirm: look with --dry-run, then write --yes"),
        (["replay", "--all", "--yes", "--each"], "--each goes with --dry-run"),
    ],
)
def test_what_cannot_be_meant(dlq: str, letters: Dlq, producer: Producer, arguments: list[str], words: str) -> None:
    produce_letters(producer, dlq, [b"{}"], topic="t")
    answer = letters.run(*arguments)
    assert answer.code == 2
    assert words in answer.sentence


@pytest.mark.parametrize("command", [["ls"], ["show", "0:0"], ["replay", "--all", "--yes"]])
def test_a_topic_that_is_not_there(kafka: KafkaBroker, unique: Callable[[str], str], command: list[str]) -> None:
    name = unique("nothing") + ".dlq"
    answer = Dlq(kafka.bootstrap_servers, name).run(*command)
    assert f"there is no topic {name!r}" in answer.sentence


def test_bytes_key_and_headers_go_back_as_they_came(
    kafka: KafkaBroker, topic: str, dlq: str, letters: Dlq, producer: Producer
) -> None:
    values = [b'{"n":0}', b"\xff\x00", b"", b"x" * 1_000_000]
    produce_letters(producer, dlq, values, topic=topic)
    assert letters.replay("--all") == {"replayed": 4, "left_out": {}, "failed": {}, "unmarked": [], "not_tried": 0}
    found = {headers_of(message)["id"]: message for message in read_topic(kafka, topic)}
    for number, value in enumerate(values):
        message = found[str(number)]
        assert (message.value(), message.key()) == (value, f"D{number}".encode())
        assert headers_of(message) == {
            "id": str(number),
            "source": "mqtt",
            "replay.of": f"0:{number}",
            "replay.attempt": "1",
            "replay.group": "alarm",
        }


def test_a_dry_run_changes_nothing(kafka: KafkaBroker, topic: str, dlq: str, letters: Dlq, producer: Producer) -> None:
    produce_letters(producer, dlq, [b"{}"] * 3, topic=topic)
    produce_letters(producer, dlq, [b"x"], topic=None, reason="too_large", stage="ingest", first=3)
    plan = letters.run("replay", "--all", "--dry-run", "-o", "json").document
    assert plan["replay"] == [{"dead_letters": 3, "reason": "bad_ts", "to": topic, "group": "alarm", "example": "0:0"}]
    assert plan["left_out"] == {"no_topic": 1}
    lines = letters.run("replay", "--all", "--dry-run", "--each").out.splitlines()
    assert lines[0] == f"0:0  bad_ts  put it into {topic} for the group alarm, as its replay number 1"
    assert lines[3].startswith("0:3  too_large  leave it out: it never was in a topic")
    assert read_topic(kafka, topic) == []
    assert f"{dlq}.replayed" not in kafka.admin.list_topics(timeout=10).topics


def test_what_was_replayed_is_known_and_not_replayed_again(
    kafka: KafkaBroker, topic: str, dlq: str, letters: Dlq, producer: Producer
) -> None:
    produce_letters(producer, dlq, [b"{}"] * 3, topic=topic, reason="bad_ts")
    produce_letters(producer, dlq, [b"{}"] * 2, topic=topic, reason="not_json", first=3)
    # A filter's own, then all the rest
    assert letters.replay("--reason", "not_json")["replayed"] == 2
    assert letters.counts() == {"bad_ts": (3, 0), "not_json": (2, 2)}
    rest = letters.replay("--all")
    assert (rest["replayed"], rest["left_out"]) == (3, {"replayed": 2})
    assert letters.replay("--all")["replayed"] == 0
    assert sorted(headers_of(message)["id"] for message in read_topic(kafka, topic)) == list("01234")
    assert "replayed at" in letters.run("show", "0:0").out
    # Asked for, they go again, with their count
    assert letters.replay("--all", "--again")["replayed"] == 5
    assert letters.replay("--all", "--again", "--max-attempts", "2")["left_out"] == {"attempts": 5}


def test_what_kafka_refuses_is_not_marked_and_costs_only_itself(
    kafka: KafkaBroker, topic: str, dlq: str, letters: Dlq, producer: Producer
) -> None:
    produce_letters(producer, dlq, [b"small", os.urandom(3_000_000), b"small"], topic=topic)
    answer = letters.run("replay", "--all", "--yes")
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == (
        "iothub: dead letters not replayed: 1; the same command goes on where this one stopped"
    )
    assert answer.out.splitlines()[0] == "replayed: 2"
    assert "failed: 0:1" in answer.out
    assert letters.counts() == {"bad_ts": (3, 2)}
    assert [message.value() for message in read_topic(kafka, topic)] == [b"small", b"small"]


def test_a_topic_that_is_gone_is_said(dlq: str, letters: Dlq, producer: Producer) -> None:
    produce_letters(producer, dlq, [b"{}"], topic="long.gone")
    assert letters.replay("--all")["left_out"] == {"topic_gone": 1}


def test_the_rate_is_kept(kafka: KafkaBroker, topic: str, dlq: str, letters: Dlq, producer: Producer) -> None:
    """Given twenty a second, then one comes a twentieth of a second after the other."""
    produce_letters(producer, dlq, [b"{}"] * 21, topic=topic)
    document = letters.run("replay", "--all", "--yes", "--rate", "20", "-o", "json").document
    assert document["replayed"] == 21
    stamps = sorted(message.timestamp()[1] for message in read_topic(kafka, topic))
    assert stamps[-1] - stamps[0] >= 850


def _read(address: str, topic: str) -> list[Any]:
    client = Consumer({"bootstrap.servers": address, "group.id": "reads", "enable.auto.commit": False})
    try:
        places = [
            TopicPartition(topic, number, 0) for number in client.list_topics(timeout=10).topics[topic].partitions
        ]
        expected = sum(client.get_watermark_offsets(place)[1] for place in places)
        client.assign(places)
        found: list[Any] = []

        def all_there() -> bool:
            found.extend(message for message in client.consume(1000, 0.2) if message.error() is None)
            return len(found) >= expected

        wait_until(all_there)
        return found
    finally:
        client.close()


def test_marks_go_with_the_letters_that_retention_deletes(
    kafka: KafkaBroker, topic: str, dlq: str, letters: Dlq, producer: Producer
) -> None:
    produce_letters(producer, dlq, [b"{}"] * 4, topic=topic)
    letters.replay("--all")
    looked_into = connect(Target("it", kafka.bootstrap_servers))
    assert set(read_marks(looked_into, dlq).by_place) == {(0, number) for number in range(4)}
    place = TopicPartition(dlq, 0, 3)
    kafka.admin.delete_records([place])[place].result(10)
    produce_letters(producer, dlq, [b"{}"], topic=topic, first=4)
    letters.replay("--all")
    assert set(read_marks(looked_into, dlq).by_place) == {(0, 3), (0, 4)}


@pytest.mark.parametrize(("typed", "replayed"), [("n\n", 0), ("y\n", 2)])
def test_on_a_terminal_it_asks(
    kafka: KafkaBroker, topic: str, dlq: str, producer: Producer, typed: str, replayed: int
) -> None:
    produce_letters(producer, dlq, [b"{}"] * 2, topic=topic)
    with terminal() as (ours, theirs):
        os.write(ours, typed.encode())
        command = ("dlq", "replay", "--all", "--topic", dlq)
        with iothub_process(*command, kafka=kafka.bootstrap_servers, stdin=theirs) as process:
            out, err = process.communicate(timeout=60)
    assert "Replay 2 dead letters? [y/N]" in err
    assert ("nothing was replayed" in err) is (replayed == 0)
    assert "Traceback" not in err
    assert len(read_topic(kafka, topic)) == replayed
    assert (process.returncode == 0) is (replayed > 0)
    assert out.startswith("replayed: 2") is (replayed > 0)


def test_the_kafka_in_memory_too() -> None:
    with in_memory_kafka() as (address, producer):
        producer.produce("telemetry.raw", b"{}")
        produce_letters(producer, "telemetry.dlq", [b"{}"] * 5, topic="telemetry.raw")
        letters = Dlq(address, "telemetry.dlq")
        assert letters.counts() == {"bad_ts": (5, 0)}
        assert letters.replay("--device", "D0")["replayed"] == 2
        assert letters.counts("--by", "device")["D0"] == (2, 2)
        assert letters.replay("--all")["replayed"] == 3
        assert letters.replay("--all")["replayed"] == 0
        found = [headers_of(message) for message in _read(address, "telemetry.raw")]
        assert sorted(headers["id"] for headers in found if headers) == list("01234")
        assert {headers["replay.group"] for headers in found if headers} == {"alarm"}
