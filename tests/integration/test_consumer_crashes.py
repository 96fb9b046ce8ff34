"""Messages that kill the process that handles them: found, counted over restarts, and dead-lettered in the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from consumers.marks import Mark, format_mark
from integration_helpers import (
    Collector,
    OurProcess,
    Running,
    committed,
    committed_marks,
    headers_of,
    read_topic,
    send,
)
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Start = Callable[..., OurProcess]

HANDLER = """
import os, signal, time

class Fragile:
    def __init__(self, notes, deadly=None, slow=None, failing=None):
        self.notes, self.deadly, self.slow, self.failing = notes, deadly, slow, failing

    def handle(self, payload):
        payloads = payload if isinstance(payload, list) else [payload]
        with open(self.notes, "a") as notes:
            print(",".join(map(str, payloads)), file=notes, flush=True)
        if self.deadly in payloads:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.slow in payloads:
            time.sleep(3600)
        if self.failing in payloads:
            raise ValueError("it does not like that")
"""


class Fragile:
    """Workers whose handler may die, hang or fail; and what it was given, call by call, over all of them."""

    def __init__(self, kafka: KafkaBroker, start: Start, folder: Path, topic: str, dlq: str, group: str) -> None:
        self._start = start
        self._notes = folder / "notes"
        (folder / "fragile.py").write_text(HANDLER)
        self.group = group
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_GROUP_ID": group,
            "KAFKA_SESSION_TIMEOUT_MS": "2000",
            "KAFKA_HEARTBEAT_INTERVAL_MS": "500",
            "CONSUMER_TOPICS": topic,
            "CONSUMER_HANDLER": "Fragile",
            "CONSUMER_HANDLER_FILE": str(folder / "fragile.py"),
            "CONSUMER_BATCH_MAX_SIZE": "50",
            "CONSUMER_TIMEOUT_SECONDS": "0.2",
            "CONSUMER_DLQ_TOPIC": dlq,
            "CONSUMER_MAX_ATTEMPTS": "3",
        }

    def start(self, environment: dict[str, str] | None = None, **options: int) -> OurProcess:
        given = json.dumps({"notes": str(self._notes), **options})
        changed = {"CONSUMER_HANDLER_OPTIONS": given} | (environment or {})
        return self._start("consumers", **self._environment | changed)

    @property
    def calls(self) -> list[list[int]]:
        if not self._notes.exists():
            return []
        return [[int(number) for number in line.split(",")] for line in self._notes.read_text().splitlines()]

    def count(self, number: int) -> int:
        return sum(number in call for call in self.calls)


@pytest.fixture
def fragile(
    kafka: KafkaBroker, topic: str, dlq: str, start_process: Start, tmp_path: Path, unique: Callable[[str], str]
) -> Fragile:
    return Fragile(kafka, start_process, tmp_path, topic, dlq, unique("fragile"))


@pytest.mark.parametrize(
    "mode",
    [{"CONSUMER_BATCH": "true"}, {"CONSUMER_BATCH": "false"}, {"CONSUMER_BATCH": "true", "CONSUMER_COMMIT": "auto"}],
    ids=["batch", "single", "auto"],
)
def test_a_message_that_kills_its_process_is_dead_lettered_in_the_end(
    kafka: KafkaBroker, topic: str, dlq: str, fragile: Fragile, mode: dict[str, str]
) -> None:
    """Given one deadly message among good ones, when workers die of it, then only it is a dead letter, and soon."""
    send(kafka, topic, [b"%d" % number for number in range(60)], partition=0)
    died = 0
    process = fragile.start(mode, deadly=30)
    while not read_topic(kafka, dlq):
        if process.returncode is not None:
            died += 1
            process = fragile.start(mode, deadly=30)
    wait_until(lambda: committed(kafka, fragile.group, topic, 3)[0] == 60, hint=lambda: process.log)
    assert process.terminate() == 0

    # Once with others in hand, when nothing tells which of them it was (twice where commits are rare); then alone.
    assert died == (2 if "CONSUMER_COMMIT" in mode else 1) + 3
    assert fragile.calls.count([30]) == (4 if mode["CONSUMER_BATCH"] == "false" else 3)
    (letter,) = read_topic(kafka, dlq)
    assert letter.value() == b"30"
    headers = headers_of(letter)
    assert headers["dlq.reason"] == "crashed_worker"
    assert headers["dlq.attempts"] == "3"
    assert "killed" in headers["__connect.errors.exception.message"]
    counts = Counter(number for call in fragile.calls for number in call)
    assert set(counts) == set(range(60))
    assert committed_marks(kafka, fragile.group, topic, 3)[0] == Mark(), "left in order"


def test_a_process_that_is_told_to_end_does_not_count(
    kafka: KafkaBroker, topic: str, dlq: str, fragile: Fragile
) -> None:
    """Given a slow message alone in hand, when SIGTERM comes before SIGKILL, then it is not to blame; else it is."""
    send(kafka, topic, [b"1"], partition=0)
    first = fragile.start(slow=1)
    wait_until(lambda: fragile.count(1) == 1, hint=lambda: first.log)
    first.kill()

    def crashes() -> int:
        return committed_marks(kafka, fragile.group, topic, 3)[0].crashes

    for number in range(2, 6):
        process = fragile.start(slow=1)
        wait_until(lambda: fragile.count(1) == number, hint=lambda: process.log)  # noqa: B023
        assert crashes() == 1, "it has begun"
        process.ask_to_end()
        wait_until(lambda: crashes() == 0, hint=lambda: process.log)  # noqa: B023
        process.kill()
    assert read_topic(kafka, dlq) == []
    last = fragile.start()
    wait_until(lambda: committed(kafka, fragile.group, topic, 3)[0] == 1, hint=lambda: last.log)
    assert last.terminate() == 0
    assert read_topic(kafka, dlq) == []


def test_failed_tries_are_counted_over_restarts(kafka: KafkaBroker, topic: str, dlq: str, fragile: Fragile) -> None:
    """Given a message that its handler fails on, and workers that end soon, then their tries are counted together."""
    send(kafka, topic, [b"1", b"2"], partition=0)
    mode = {"CONSUMER_BATCH": "false", "CONSUMER_MAX_ATTEMPTS": "6"}
    workers = failures = 0

    def has_tried(before: int) -> bool:
        mark = committed_marks(kafka, fragile.group, topic, 3)[0]
        return mark.failures > before or committed(kafka, fragile.group, topic, 3)[0] > 0

    while committed(kafka, fragile.group, topic, 3)[0] == 0:
        process = fragile.start(mode, failing=1)
        workers += 1
        wait_until(lambda: has_tried(failures), hint=lambda: process.log)  # noqa: B023
        assert process.terminate() == 0
        failures = committed_marks(kafka, fragile.group, topic, 3)[0].failures
    assert workers > 1
    assert fragile.count(1) == 6
    (letter,) = read_topic(kafka, dlq)
    assert (headers_of(letter)["dlq.reason"], headers_of(letter)["dlq.attempts"]) == ("handler_failed", "6")


def test_what_is_counted_is_forgotten_with_the_message_that_it_was_about(
    kafka: KafkaBroker, topic: str, dlq: str, run_consumer: Callable[..., Running], unique: Callable[[str], str]
) -> None:
    """Given a deadly message that retention has removed, then the next one is not taken for it."""
    send(kafka, topic, [b"%d" % number for number in range(10)], partition=0)
    group, handler = unique("group"), Collector()
    client = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})
    mark = format_mark(Mark(hand=50, crashes=5, failures=4))
    client.commit(offsets=[TopicPartition(topic, 0, 2, metadata=mark)], asynchronous=False)
    client.close()
    for future in kafka.admin.delete_records([TopicPartition(topic, 0, 6)]).values():
        future.result()
    run_consumer(group=group, topics=[topic], handler=handler, dlq_topic=dlq, max_attempts=5)
    wait_until(lambda: handler.messages == [6, 7, 8, 9], hint=lambda: str(handler.messages))
    assert read_topic(kafka, dlq) == []
