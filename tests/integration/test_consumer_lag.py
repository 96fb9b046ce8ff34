"""The lag that a worker tells of itself: of partitions at work, and of one that waits."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY

from consumers import RetryLater
from integration_helpers import Running, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Run = Callable[..., Running]


def test_lag_is_told_of_partitions_at_work_and_of_one_that_waits(
    kafka: KafkaBroker, topic: str, run_consumer: Run, unique: Callable[[str], str]
) -> None:
    send(kafka, topic, [b"0"], partition=0)
    send(kafka, topic, [b"1", b"2"], partition=1)
    group = unique("group")

    class NoZero:
        def handle(self, payload: int) -> None:
            if payload == 0:
                raise RetryLater("not yet", after=600)

    def lag(partition: int) -> float | None:
        labels = {"consumergroup": group, "topic": topic, "partition": str(partition)}
        return REGISTRY.get_sample_value("kafka_consumergroup_lag", labels)

    running = run_consumer(group=group, topics=[topic], handler=NoZero())
    wait_until(lambda: lag(1) == 0)
    wait_until(lambda: "not yet" in (running.consumer.find_readiness_problem() or ""))
    # It is not fetched any more, but more comes in.
    send(kafka, topic, [b"3", b"4"], partition=0)
    wait_until(lambda: lag(0) == 3, timeout=60, hint=lambda: str(lag(0)))
    running.stop()
    assert (lag(0), lag(1)) == (None, None), "somebody else's now"
