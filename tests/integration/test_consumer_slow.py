"""Handlers that take longer than the group is patient: their member stays, and nothing is handled twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from confluent_kafka import Consumer, TopicPartition

from consumers.config import ConsumerConfig
from consumers.kafka_consumer import KafkaConsumer
from consumers.marks import Mark, format_mark
from integration_helpers import Collector, OurProcess, Running, committed, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Run = Callable[..., Running]

IMPATIENT = {"max_poll_interval_ms": 6000, "session_timeout_ms": 6000}


class Slow:
    """Waits in each call that holds ``at`` until it is let go on."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.waits = threading.Event()
        self.go_on = threading.Event()
        self.messages: list[int] = []

    def handle(self, payload: list[int]) -> None:
        if self.at in payload and not self.go_on.is_set():
            self.waits.set()
            assert self.go_on.wait(60)
        self.messages.extend(payload)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_slow_handler_is_not_thrown_out_of_its_group(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str], protocol: str
) -> None:
    """Given a call that takes longer than max.poll.interval.ms, then its member keeps its partitions and its place."""
    send(kafka, topic, [b"1", b"2"], partition=0)
    slow, group = Slow(at=1), unique("group")
    settings = (IMPATIENT if protocol == "classic" else {"max_poll_interval_ms": 6000}) | {"group_protocol": protocol}
    with structlog.testing.capture_logs() as logs:
        running = run_consumer(group=group, topics=[topic], handler=slow, consume_batch=True, settings=settings)
        assert slow.waits.wait(30)
        # Not a wait for something: time that has to go by.
        assert not slow.go_on.wait(8)
        assert "been at it for" in (running.consumer.find_readiness_problem() or "")
        assert running.consumer.find_liveness_problem() is None
        slow.go_on.set()
        wait_until(lambda: committed(kafka, group, topic, 3)[0] == 2)
        send(kafka, topic, [b"3"], partition=0)
        wait_until(lambda: 3 in slow.messages)
        running.stop()
    assert Counter(slow.messages) == {1: 1, 2: 1, 3: 1}
    assert not [entry for entry in logs if entry["event"] in {"partitions lost", "offsets not committed"}]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_new_member_waits_for_what_is_in_hand(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str], protocol: str
) -> None:
    """Given a call that is still at work, when members join and partitions move, then no message is handled twice."""
    for partition in range(3):
        send(kafka, topic, [b"%d" % (partition * 10 + number) for number in range(4)], partition=partition)
    slow, others, group = Slow(at=0), [Collector(), Collector()], unique("group")
    settings = {"group_protocol": protocol}
    run_consumer(group=group, topics=[topic], handler=slow, consume_batch=True, batch_max_size=100, settings=settings)
    assert slow.waits.wait(30)
    with structlog.testing.capture_logs() as logs:
        for other in others:
            run_consumer(group=group, topics=[topic], handler=other, consume_batch=True, settings=settings)
        wait_until(lambda: any("asked for" in entry["event"] for entry in logs), hint=lambda: str(logs))
        slow.go_on.set()
        wait_until(lambda: len(slow.messages) + sum(len(other.messages) for other in others) >= 12)
        wait_until(lambda: any(entry["event"] == "partitions revoked" for entry in logs))
    for partition in range(3):
        send(kafka, topic, [b"%d" % (100 + partition)], partition=partition)

    def handled() -> Counter[int]:
        return Counter(slow.messages + others[0].messages + others[1].messages)

    wait_until(lambda: {100, 101, 102} <= set(handled()), hint=lambda: str(handled()))
    assert set(handled().values()) == {1}
    assert others[0].messages, "it has taken a partition over"
    assert others[1].messages


def test_one_by_one_after_a_crash_the_member_stays_too(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given messages to go through one by one, all of which take longer than the group is patient, then it stays."""
    send(kafka, topic, [b"%d" % number for number in range(16)], partition=0)
    group, handled, pause = unique("group"), list[int](), threading.Event()
    client = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})
    mark = format_mark(Mark(hand=16))
    client.commit(offsets=[TopicPartition(topic, 0, 0, metadata=mark)], asynchronous=False)
    client.close()

    class Half:
        def handle(self, payload: list[int]) -> None:
            pause.wait(0.5)
            handled.extend(payload)

    with structlog.testing.capture_logs() as logs:
        running = run_consumer(group=group, topics=[topic], handler=Half(), consume_batch=True, settings=IMPATIENT)
        wait_until(lambda: committed(kafka, group, topic, 3)[0] == 16)
        running.stop()
    assert handled == list(range(16))
    assert not [entry for entry in logs if entry["event"] == "partitions lost"]


def test_a_handler_beyond_its_limit_asks_for_a_restart(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1"], partition=0)
    slow = Slow(at=1)
    running = run_consumer(group=unique("group"), topics=[topic], handler=slow, consume_batch=True, handle_limit=1.0)
    wait_until(lambda: running.consumer.find_liveness_problem() is not None)
    assert "longer than 1 s" in (running.consumer.find_liveness_problem() or "")
    slow.go_on.set()
    wait_until(lambda: running.consumer.find_liveness_problem() is None)


@pytest.fixture
def own_kafka(kafka_factory: Callable[..., KafkaBroker]) -> Iterator[KafkaBroker]:
    """A broker that a test may freeze."""
    kafka = kafka_factory()
    yield kafka
    kafka.resume()


def test_a_stop_does_not_wait_for_a_broker_that_is_silent(own_kafka: KafkaBroker, unique: Callable[[str], str]) -> None:
    """Given a broker that is there and does not answer, when the consumer is stopped, then it ends all the same."""
    (topic,) = own_kafka.create_topics([unique("raw")], partitions=1)
    send(own_kafka, topic, [b"1"])
    group = unique("group")
    config = ConsumerConfig(bootstrap_servers=own_kafka.bootstrap_servers, group_id=group)
    running = Running(KafkaConsumer(config, [topic], Collector(), consume_timeout=0.2))
    wait_until(lambda: committed(own_kafka, group, topic, 1)[0] == 1)
    own_kafka.pause()
    # Joins it within half a minute.
    running.stop()


def test_nor_where_it_falls_silent_in_the_middle_of_the_work(
    own_kafka: KafkaBroker, unique: Callable[[str], str], start_process: Callable[..., OurProcess], tmp_path: Path
) -> None:
    """Given a worker that waits for its commit, when it gets SIGTERM, then it hears it, and is gone in time."""
    (topic,) = own_kafka.create_topics([unique("raw")], partitions=1)
    send(own_kafka, topic, [b"%d" % number for number in range(500)])
    seen = tmp_path / "seen"
    handler = tmp_path / "handlers.py"
    handler.write_text(
        "import time\n"
        "class Slow:\n"
        "    def handle(self, payload):\n"
        "        time.sleep(0.01)\n"
        f"        open({str(seen)!r}, 'a').write('.')\n"
    )
    worker = start_process(
        "consumers",
        KAFKA_BOOTSTRAP_SERVERS=own_kafka.bootstrap_servers,
        KAFKA_GROUP_ID=unique("group"),
        CONSUMER_TOPICS=topic,
        CONSUMER_HANDLER="Slow",
        CONSUMER_HANDLER_FILE=str(handler),
        CONSUMER_BATCH="false",
    )
    wait_until(lambda: seen.exists() and seen.stat().st_size > 20)
    own_kafka.pause()
    before = seen.stat().st_size
    # One message may be in hand, and be handled to its end.
    assert not threading.Event().wait(1)
    assert seen.stat().st_size <= before + 2
    begun = time.monotonic()
    assert worker.terminate() == 0
    assert time.monotonic() - begun < 30
    assert "left without a word" in worker.log
