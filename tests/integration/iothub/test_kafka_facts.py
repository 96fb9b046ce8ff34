"""``iothub topics``, ``groups`` and ``lag``, on a real Kafka and on the one in memory."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from integration.iothub.kafka_command import in_memory_kafka, iothub, iothub_process, terminal
from integration_helpers import Collector, Running, committed, send
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until

Run = Callable[..., Running]


@pytest.fixture(scope="module")
def memory() -> Iterator[tuple[str, Producer]]:
    with in_memory_kafka() as (address, producer):
        for number in range(40):
            producer.produce("telemetry.raw", b"{}", key=str(number))
        producer.flush(10)
        yield address, producer


def commit(address: str, group: str, *places: TopicPartition) -> None:
    client = Consumer({"bootstrap.servers": address, "group.id": group})
    client.commit(offsets=list(places), asynchronous=False)
    client.close()


# --- topics ---


def test_topics_with_partitions_messages_and_retention(kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    (topic,) = kafka.create_topics([unique("sized")], partitions=2, config={"retention.ms": "604800000"})
    send(kafka, topic, [b"1", b"2", b"3"], partition=1)
    rows = {row[0]: row[1:] for row in iothub("topics", kafka=kafka.bootstrap_servers).rows}
    assert rows[topic] == ["2", "1", "3", "7 d", "delete"]

    kafka.admin.delete_records([TopicPartition(topic, 1, 1)])[TopicPartition(topic, 1, 1)].result(10)
    answer = iothub("topics", topic, "-o", "json", kafka=kafka.bootstrap_servers)
    (document,) = answer.document
    assert (document["topic"], document["messages"], document["retention_ms"]) == (topic, 2, 604_800_000)
    assert [(p["earliest"], p["latest"], p["messages"], p["leader"]) for p in document["partitions"]] == [
        (0, 0, 0, 1),
        (1, 3, 2, 1),
    ]
    assert answer.err.startswith(f"waiting for Kafka at {kafka.bootstrap_servers}")


def test_kafkas_own_topics_are_shown_when_asked_for(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    commit(kafka.bootstrap_servers, unique("g"), TopicPartition(topic, 0, 0))
    shown = [row[0] for row in iothub("topics", kafka=kafka.bootstrap_servers).rows]
    assert topic in shown
    assert "__consumer_offsets" not in shown
    everything = [row[0] for row in iothub("topics", "--internal", kafka=kafka.bootstrap_servers).rows]
    assert {topic, "__consumer_offsets"} <= set(everything)


def test_topics_in_memory_say_what_they_cannot_tell(memory: tuple[str, Producer]) -> None:
    answer = iothub("topics", "telemetry.raw", kafka=memory[0])
    assert answer.rows[0] == ["telemetry.raw", "4", "1", "40", "-", "-"]
    assert "This Kafka is in memory: it has no retention or other settings to tell." in answer.err
    # Looking at a topic that is not there does not make it, as a use of it would.
    assert "did you mean 'telemetry.raw'?" in iothub("topics", "telemetry.rav", kafka=memory[0]).sentence
    assert [row[0] for row in iothub("topics", kafka=memory[0]).rows] == ["telemetry.raw"]


# --- groups ---


def test_a_group_at_work_and_one_that_is_gone(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1"] * 9)
    busy, gone = unique("busy"), unique("gone")
    commit(kafka.bootstrap_servers, gone, TopicPartition(topic, 0, 0))
    handler = Collector()
    run_consumer(group=busy, topics=[topic], handler=handler, consume_batch=True)
    wait_until(lambda: sum(committed(kafka, busy, topic, 3).values()) == 9)

    rows = {row[0]: row[1:] for row in iothub("groups", kafka=kafka.bootstrap_servers).rows}
    assert rows[busy] == ["stable", "classic", "1", topic, "0"]
    assert rows[gone][:4] == ["empty", "classic", "0", topic]

    (document,) = iothub("groups", busy, "-o", "json", kafka=kafka.bootstrap_servers).document
    (member,) = document["members"]
    assert (member["client_id"], member["host"]) == ("iot-hub", "127.0.0.1")
    assert member["partitions"] == [{"topic": topic, "partition": number} for number in range(3)]
    assert {(p["committed"] == p["latest"], p["lag"], p["client_id"]) for p in document["partitions"]} == {
        (True, 0, "iot-hub")
    }
    text = iothub("groups", busy, kafka=kafka.bootstrap_servers).out
    assert f"{topic}[0] {topic}[1] {topic}[2]" in text


def test_what_a_group_has_not_committed_is_unknown_and_not_zero(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1"] * 4, partition=0)
    group = unique("g")
    commit(kafka.bootstrap_servers, group, TopicPartition(topic, 0, 1))
    (document,) = iothub("groups", group, "-o", "json", kafka=kafka.bootstrap_servers).document
    assert [(p["committed"], p["lag"]) for p in document["partitions"]] == [(1, 3), (None, None), (None, None)]
    assert document["lag"] == 3


def test_groups_in_memory_are_those_that_are_named(memory: tuple[str, Producer]) -> None:
    address, _ = memory
    assert iothub("groups", kafka=address).sentence == (
        "this Kafka is in memory and can't list its groups; name the ones to look at"
    )
    commit(address, "alarm", TopicPartition("telemetry.raw", 0, 3))
    answer = iothub("groups", "alarm", "-o", "json", kafka=address)
    (document,) = answer.document
    assert (document["state"], document["members"]) == (None, None)
    assert [p["committed"] for p in document["partitions"]] == [3, None, None, None]
    assert document["lag"] == document["partitions"][0]["latest"] - 3
    assert "in memory and can't list its groups" in answer.err


# --- lag ---


def test_lag_of_a_group_that_stands_still_while_messages_come(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1"] * 5, partition=0)
    still, level = unique("still"), unique("level")
    commit(kafka.bootstrap_servers, still, *(TopicPartition(topic, number, 0) for number in range(3)))
    with iothub_process("lag", still, "--watch", "--window", "0.5", "-o", "json", kafka=kafka.bootstrap_servers) as it:

        def sees_production() -> dict[str, Any] | None:
            send(kafka, topic, [b"1"] * 10, partition=0)
            assert it.stdout is not None
            [found] = json.loads(it.stdout.readline())
            return dict(found) if found["produced_per_second"] > 0 else None

        row = wait_until(sees_production)
        assert row is not None
        assert (row["group"], row["topic"], row["consumed_per_second"]) == (still, topic, 0.0)
        assert row["lag"] >= 10
        assert (row["falls_behind"], row["drain_seconds"]) == (True, None)
        it.send_signal(signal.SIGINT)
        _, errors = it.communicate(timeout=20)
    assert it.returncode == 130
    assert errors == f"waiting for what Kafka at {kafka.bootstrap_servers} does in 0.5 s …\n"
    (document,) = iothub("topics", topic, "-o", "json", kafka=kafka.bootstrap_servers).document
    ends = {partition["partition"]: partition["latest"] for partition in document["partitions"]}
    commit(kafka.bootstrap_servers, level, *(TopicPartition(topic, number, end) for number, end in ends.items()))
    (row,) = iothub("lag", level, "--window", "0.1", "-o", "json", kafka=kafka.bootstrap_servers).document
    assert (row["lag"], row["drain_seconds"], row["falls_behind"]) == (0, 0.0, False)


def test_on_a_terminal_lag_is_drawn_again_and_again(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    group, seen = unique("g"), bytearray()
    commit(kafka.bootstrap_servers, group, TopicPartition(topic, 0, 0))
    with terminal() as (ours, theirs):
        settings = {"TERM": "xterm", "COLUMNS": "120"}
        command = ("lag", group, "--watch", "--window", "0.2")
        with iothub_process(*command, kafka=kafka.bootstrap_servers, environment=settings, stdout=theirs) as process:

            def is_drawn(lag: str) -> bool:
                seen.extend(os.read(ours, 10_000))
                return f"{group}   {topic}   {lag} ".encode() in seen

            wait_until(lambda: is_drawn("0"))
            send(kafka, topic, [b"1"] * 7, partition=0)
            wait_until(lambda: is_drawn("7"))
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert b"Traceback" not in os.read(ours, 10_000)


def test_lag_by_partition(kafka: KafkaBroker, topic: str, unique: Callable[[str], str]) -> None:
    send(kafka, topic, [b"1"] * 5, partition=2)
    group = unique("g")
    commit(kafka.bootstrap_servers, group, TopicPartition(topic, 0, 0), TopicPartition(topic, 2, 1))
    answer = iothub("lag", group, "--window", "0.1", "--partitions", kafka=kafka.bootstrap_servers)
    assert answer.rows == [
        [group, topic, "0", "0", "0/s", "0/s", "0 s"],
        [group, topic, "1", "-", "0/s", "-", "-"],
        [group, topic, "2", "4", "0/s", "0/s", "never at this rate"],
    ]


def test_lag_in_memory(memory: tuple[str, Producer]) -> None:
    address, _ = memory
    commit(address, "storage", *(TopicPartition("telemetry.raw", number, 0) for number in range(4)))
    (row,) = iothub("lag", "storage", "--window", "0.1", "-o", "json", kafka=address).document
    assert (row["topic"], row["lag"]) == ("telemetry.raw", 40)


# --- failures ---


@pytest.mark.parametrize("command", ["topics", "groups", "lag", "tail", "dlq", "dlq ls", "dlq show", "dlq replay"])
def test_help_says_what_the_command_is_for(command: str) -> None:
    answer = iothub(*command.split(), "--help")
    assert answer.code == 0
    assert f"Usage: iothub {command}" in answer.out
    assert "\x1b" not in answer.out


@pytest.mark.parametrize(
    "command", [["topics"], ["groups"], ["lag"], ["tail", "t"], ["dlq", "ls"], ["dlq", "show", "0:0"]], ids=" ".join
)
def test_an_address_where_nobody_listens_is_one_sentence_in_seconds(command: list[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    answer = iothub(*command, kafka=address)
    assert answer.sentence == f"no Kafka answers at {address}: Connection refused; look at the address"
    assert answer.code == 1
    assert time.monotonic() - began < 8


def test_a_kafka_that_speaks_another_protocol_is_one_sentence_too(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    assert kafka.bootstrap_servers in iothub("topics", kafka=kafka.bootstrap_servers).sentence


def test_a_misspelt_property_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PROPERTIES", '{"fetch.mni.bytes": 1}')
    assert "fetch.mni.bytes" in iothub("topics", kafka="127.0.0.1:1").sentence


def test_an_unknown_name_comes_with_the_one_that_was_meant(
    kafka: KafkaBroker, topic: str, unique: Callable[[str], str]
) -> None:
    group = unique("alarm")
    commit(kafka.bootstrap_servers, group, TopicPartition(topic, 0, 0))
    answer = iothub("topics", f"{topic}x", kafka=kafka.bootstrap_servers)
    assert (answer.code, answer.sentence.endswith(f"did you mean {topic!r}?")) == (2, True)
    for command in ("groups", "lag"):
        answer = iothub(command, f"{group}x", kafka=kafka.bootstrap_servers)
        assert (answer.code, answer.sentence.endswith(f"did you mean {group!r}?")) == (2, True)


def test_looking_leaves_no_group_behind(kafka: KafkaBroker, topic: str) -> None:
    send(kafka, topic, [b"1"])
    assert iothub("tail", topic, "--no-follow", kafka=kafka.bootstrap_servers).code == 0
    listed = kafka.admin.list_consumer_groups(request_timeout=10).result(11)
    assert not [group.group_id for group in listed.valid or () if "iothub" in group.group_id]
