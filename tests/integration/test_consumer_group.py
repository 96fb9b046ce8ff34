"""`KafkaConsumer` in its group on a real Kafka: members that come and go, partitions that wait while others go on."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from consumers import RetryLater
from integration_helpers import Collector, Running, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Run = Callable[..., Running]


def test_a_second_group_gets_every_message_too(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"1", b"2", b"3"])
    handlers = [Collector(), Collector()]
    for number, handler in enumerate(handlers):
        run_consumer(group=unique(f"group-{number}"), topics=[topic], handler=handler, consume_batch=True)
    wait_until(lambda: all(sorted(handler.messages) == [1, 2, 3] for handler in handlers))


def test_a_partition_that_waited_elsewhere_goes_on_when_it_comes_back(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given partitions held by one member, when they move to another and come back, then they are not paused still."""
    send(kafka, topic, [b"0"], partition=0)
    send(kafka, topic, [b"10"], partition=1)
    send(kafka, topic, [b"20"], partition=2)
    group, open_now = unique("group"), threading.Event()
    handled: list[int] = []

    class Later:
        def handle(self, payload: int) -> None:
            if not open_now.is_set():
                raise RetryLater("not yet", after=0.5)
            handled.append(payload)

    first = run_consumer(group=group, topics=[topic], handler=Later())
    wait_until(lambda: "not yet" in (first.consumer.find_readiness_problem() or ""))
    second = run_consumer(group=group, topics=[topic], handler=Later())
    wait_until(lambda: "not yet" in (second.consumer.find_readiness_problem() or ""))
    second.stop()
    open_now.set()
    for partition in range(3):
        send(kafka, topic, [b"%d" % (partition * 10 + 1)], partition=partition)
    wait_until(lambda: sorted(handled) == [0, 1, 10, 11, 20, 21], hint=lambda: str(handled))


def test_partitions_that_are_tried_again_leave_room_for_the_others(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    """Given a partition that is due again at once and for ever, then the others are read all the same."""
    send(kafka, topic, [b"0"], partition=0)
    handled: list[int] = []

    class Never:
        def handle(self, payload: int) -> None:
            if payload == 0:
                raise RetryLater("never", after=0)
            handled.append(payload)

    running = run_consumer(group=unique("group"), topics=[topic], handler=Never())
    wait_until(lambda: "never" in (running.consumer.find_readiness_problem() or ""), interval=0.001)
    send(kafka, topic, [b"10", b"11"], partition=1)
    wait_until(lambda: handled == [10, 11], hint=lambda: str(handled))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_come_and_go_without_handling_a_message_twice(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str], protocol: str
) -> None:
    """Given a steady stream, when members join and leave calmly, then each message is handled exactly once."""
    group, handlers = unique("group"), [Collector() for _ in range(4)]

    def join(handler: Collector) -> Running:
        return run_consumer(
            group=group, topics=[topic], handler=handler, consume_batch=True, settings={"group_protocol": protocol}
        )

    members = [join(handlers[0])]
    sent = 0

    def send_more() -> None:
        nonlocal sent
        send(kafka, topic, [b"%d" % number for number in range(sent, sent + 300)])
        sent += 300

    send_more()
    for handler in handlers[1:]:
        members.append(join(handler))
        wait_until(lambda: all(member.consumer.find_readiness_problem() is None for member in members))
        send_more()
    # Three partitions, four members: one has none, and is ready all the same.
    for member in members[:3]:
        send_more()
        member.stop()
    send_more()
    counts: Counter[int] = Counter()

    def all_handled() -> bool:
        counts.clear()
        for handler in handlers:
            counts.update(handler.messages)
        return len(counts) == sent

    wait_until(all_handled, hint=lambda: f"{len(counts)} of {sent}")
    assert set(counts.values()) == {1}
