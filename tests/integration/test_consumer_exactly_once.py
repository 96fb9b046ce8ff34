"""Exactly once from topic to topic: killed at every step, there is no loss and no duplicate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consumers import Outgoing, Record, Reject
from integration_helpers import OurProcess, Running, committed, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Run = Callable[..., Running]
Start = Callable[..., OurProcess]

TOTAL = 600

HANDLER = """
from consumers import Outgoing, Reject

class Tens:
    wants_records = True

    def handle(self, payload):
        for index, record in enumerate(payload):
            if record.value % 10 == 0:
                yield Reject("ten", "tens are not wanted", index=index)
            else:
                yield Outgoing(value=record.value, key=record.key)
"""


class Tens:
    """As in HANDLER, for consumers of this process."""

    wants_records = True

    def handle(self, payload: list[Record] | Record) -> Any:
        for index, record in enumerate(payload if isinstance(payload, list) else [payload]):
            if record.value % 10 == 0:
                yield Reject("ten", "tens are not wanted", index=index)
            else:
                yield Outgoing(value=record.value, key=record.key)


@pytest.fixture
def clean(kafka: KafkaBroker, unique: Callable[[str], str]) -> str:
    (name,) = kafka.create_topics([unique("clean")], partitions=2)
    return name


def values(kafka: KafkaBroker, topic: str) -> Counter[int]:
    """What a reader of committed messages finds."""
    return Counter(json.loads(message.value() or b"") for message in read_committed(kafka, topic))


def read_committed(kafka: KafkaBroker, topic: str) -> list[Any]:
    return read_topic(kafka, topic, transactional=True)


@pytest.mark.parametrize("batch", [True, False], ids=["batch", "single"])
def test_what_comes_of_messages_and_their_offsets_are_in_kafka_together(
    kafka: KafkaBroker, topic: str, clean: str, dlq: str, run_consumer: Run, unique: Callable[[str], str], batch: bool
) -> None:
    send(kafka, topic, [b"%d" % number for number in range(TOTAL)])
    group = unique("group")
    running = run_consumer(
        group=group,
        topics=[topic],
        handler=Tens(),
        consume_batch=batch,
        delivery="exactly-once",
        output_topic=clean,
        dlq_topic=dlq,
    )
    wait_until(lambda: sum(committed(kafka, group, topic, 3).values()) == TOTAL)
    running.stop()
    assert values(kafka, clean) == Counter(number for number in range(TOTAL) if number % 10)
    assert values(kafka, dlq) == Counter(range(0, TOTAL, 10))
    assert {headers_of(letter)["dlq.reason"] for letter in read_committed(kafka, dlq)} == {"ten"}


STEPS = [
    f"{method}:{when}:{count}"
    for method in (
        "init_transactions",
        "begin_transaction",
        "produce",
        "send_offsets_to_transaction",
        "commit_transaction",
    )
    for when, count in (("before", 2), ("after", 2))
]


def test_killed_at_every_step_nothing_is_lost_and_nothing_doubled(
    kafka: KafkaBroker,
    topic: str,
    clean: str,
    dlq: str,
    start_process: Start,
    tmp_path: Path,
    unique: Callable[[str], str],
) -> None:
    send(kafka, topic, [b"%d" % number for number in range(TOTAL)])
    environment = build_environment(kafka, topic, clean, dlq, unique("tens"), tmp_path)

    def count() -> int:
        return sum(committed(kafka, environment["KAFKA_GROUP_ID"], topic, 3).values())

    for step in STEPS:
        process = start_process("integration_helpers.killed_worker", **environment, KILL_AT=step)
        wait_until(lambda: process.returncode is not None, timeout=60, hint=lambda: process.log)  # noqa: B023
        assert process.returncode == -9, process.log
    assert 0 < count() < TOTAL, "it was killed in the middle"
    last = start_process("consumers", **environment)
    # Behind the last message of a partition lies the marker of its transaction.
    wait_until(lambda: count() >= TOTAL, timeout=60, hint=lambda: last.log)
    assert last.terminate() == 0
    assert values(kafka, clean) == Counter(number for number in range(TOTAL) if number % 10)
    assert values(kafka, dlq) == Counter(range(0, TOTAL, 10))


def test_a_broker_that_restarts_costs_nothing(
    kafka_factory: Callable[..., KafkaBroker], start_process: Start, tmp_path: Path, unique: Callable[[str], str]
) -> None:
    """Given a broker that is killed and comes back, and a worker that is restarted if it ends: no loss, no double."""
    kafka = kafka_factory(properties={"group.min.session.timeout.ms": "1000"})
    topic, clean, dlq = kafka.create_topics([unique("raw"), unique("clean"), unique("x") + ".dlq"], partitions=2)
    send(kafka, topic, [b"%d" % number for number in range(TOTAL)])
    environment = build_environment(kafka, topic, clean, dlq, unique("tens"), tmp_path)

    def count() -> int:
        return sum(committed(kafka, environment["KAFKA_GROUP_ID"], topic, 2).values())

    processes = [start_process("consumers", **environment)]
    wait_until(lambda: count() >= 40, hint=lambda: processes[-1].log)
    kafka.kill()
    kafka.start()

    def is_through() -> bool:
        if processes[-1].returncode is not None:
            assert processes[-1].returncode == 70, processes[-1].log
            processes.append(start_process("consumers", **environment))
        return count() >= TOTAL

    wait_until(is_through, timeout=120, interval=0.5, hint=lambda: processes[-1].log)
    assert processes[-1].terminate() == 0
    assert values(kafka, clean) == Counter(number for number in range(TOTAL) if number % 10)
    assert values(kafka, dlq) == Counter(range(0, TOTAL, 10))


def build_environment(kafka: KafkaBroker, topic: str, clean: str, dlq: str, group: str, folder: Path) -> dict[str, str]:
    (folder / "tens.py").write_text(HANDLER)
    return {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_GROUP_ID": group,
        "KAFKA_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_HEARTBEAT_INTERVAL_MS": "200",
        "CONSUMER_TOPICS": topic,
        "CONSUMER_HANDLER": "Tens",
        "CONSUMER_HANDLER_FILE": str(folder / "tens.py"),
        "CONSUMER_BATCH_MAX_SIZE": "20",
        "CONSUMER_TIMEOUT_SECONDS": "0.1",
        "CONSUMER_OUTPUT_TOPIC": clean,
        "CONSUMER_DLQ_TOPIC": dlq,
        "CONSUMER_DELIVERY": "exactly-once",
    }
