"""What the tests of the hub's servers share: a `Program` as a process, and a message's way through a Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer

from iothub.servers.program import Program
from support.process import ServerProcess
from support.waiting import wait_until

Run = Callable[[Program, Path], ServerProcess]


@contextmanager
def running(program: Program, log: Path) -> Iterator[ServerProcess]:
    """Start a program as the hub does, and end it in order with the block, unless the block has killed it."""
    process = ServerProcess(program.name, program.command, log=log, environment=program.environment)
    process.start(program.is_ready, timeout=program.start_seconds)
    try:
        yield process
    finally:
        process.stop(timeout=program.stop_seconds)


def produce(bootstrap_servers: str, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, key=value)
    assert producer.flush(30) == 0


def read(bootstrap_servers: str, topic: str, group: str, count: int) -> set[bytes]:
    """Return ``count`` messages as a member of ``group``, and commit them."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            # The mock cluster deals out anew what a member has left only after nearly that long.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "log_level": 0,
        }
    )
    consumer.subscribe([topic])
    found: list[bytes] = []

    def all_there() -> bool:
        found.extend(message.value() or b"" for message in consumer.consume(1000, 0.2) if message.error() is None)
        return len(found) >= count

    try:
        wait_until(all_there, what=f"{count} messages of {topic}")
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    return set(found)
