"""A Kafka that goes away while it is looked into, or while dead letters are replayed."""

from __future__ import annotations

import json
import subprocess
import threading
from queue import Empty, Queue

import pytest
from confluent_kafka import Producer

from integration.iothub.kafka_command import iothub, iothub_process, produce_letters
from integration_helpers import count_messages, send
from support.kafka_broker import KafkaBroker
from support.plugin import KafkaFactory
from support.waiting import wait_until


@pytest.fixture
def broker(kafka_factory: KafkaFactory) -> KafkaBroker:
    return kafka_factory()


def test_tail_waits_for_a_kafka_that_comes_back(broker: KafkaBroker) -> None:
    broker.create_topics(["telemetry.raw"], partitions=1)
    send(broker, "telemetry.raw", [b"1"])
    command = ("tail", "telemetry.raw", "--from", "beginning", "--json")
    with iothub_process(*command, kafka=broker.bootstrap_servers) as process:
        assert process.stdout is not None
        said: Queue[str] = Queue()
        threading.Thread(target=_listen, args=(process, said), daemon=True).start()
        assert json.loads(process.stdout.readline())["value"] == 1
        # When it is killed, that is said, once
        broker.kill()
        wait_until(lambda: _is_said(said, f"Kafka at {broker.bootstrap_servers} is away; waiting for it\n"))
        # and when it is there again, what has come is shown
        broker.start()
        send(broker, "telemetry.raw", [b"2"])
        assert json.loads(process.stdout.readline())["value"] == 2
        wait_until(lambda: _is_said(said, f"Kafka at {broker.bootstrap_servers} is back\n"))


def _listen(process: subprocess.Popen[str], said: Queue[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        said.put(line)


def _is_said(said: Queue[str], sentence: str) -> bool:
    try:
        return said.get(timeout=0.1) == sentence
    except Empty:
        return False


def test_a_replay_into_a_kafka_that_hangs_marks_nothing_and_can_be_done_again(broker: KafkaBroker) -> None:
    broker.create_topics(["telemetry.raw", "telemetry.dlq"], partitions=1)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    produce_letters(producer, "telemetry.dlq", [b"{}"] * 200, topic="telemetry.raw")
    command = ("dlq", "replay", "--all", "--yes", "--rate", "50")
    with iothub_process(*command, kafka=broker.bootstrap_servers) as process:
        wait_until(lambda: count_messages(broker, "telemetry.raw") >= 20, interval=0.02)
        broker.pause()
        try:
            _, err = process.communicate(timeout=120)
        finally:
            broker.resume()
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith("iothub: dead letters not replayed: ")
    assert last.endswith("; the same command goes on where this one stopped")
    assert "Traceback" not in err
    answer = iothub("dlq", "replay", "--all", "--yes", "--rate", "100000", kafka=broker.bootstrap_servers)
    assert answer.code == 0, answer.err
    (row,) = iothub("dlq", "ls", "-o", "json", kafka=broker.bootstrap_servers).document
    assert (row["dead_letters"], row["replayed"]) == (200, 200)
    assert 200 <= count_messages(broker, "telemetry.raw") <= 300
