"""`KafkaConsumer` with a handler that counts, in batches of 500 or (argument ``single``) one message at a time.

Offsets are committed on an interval, as in the loops beside it.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.programs.stopwatch import Stopwatch
from benchmarks.programs.task import hand_in, read_task
from consumers.config import ConsumerConfig
from consumers.kafka_consumer import KafkaConsumer
from telemetry.logs import configure_logging
from telemetry.process import relax_collector

BATCH = 500


class CountBatches:
    """Counts the messages of a list, and stops the consumer behind the last."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.consumer: KafkaConsumer | None = None

    def handle(self, payload: list[Any]) -> None:
        """Count them."""
        if self._watch.count(len(payload)) and self.consumer is not None:
            self.consumer.stop()


class CountMessages(CountBatches):
    """Counts one message at a time."""

    def handle(self, payload: Any) -> None:
        """Count it."""
        if self._watch.count() and self.consumer is not None:
            self.consumer.stop()


def main() -> None:
    """Count every message of the topic."""
    configure_logging("WARNING")
    relax_collector()
    task = read_task()
    single = "single" in sys.argv[2:]
    watch = task.make_stopwatch()
    handler = CountMessages(watch) if single else CountBatches(watch)
    consumer = handler.consumer = KafkaConsumer(
        config=ConsumerConfig(bootstrap_servers=task.bootstrap_servers, group_id=task.group),
        topics=[task.topic],
        handler=handler,
        consume_timeout=0.1,
        consume_batch=not single,
        batch_max_size=BATCH,
        commit="auto",
    )
    consumer.start()
    hand_in(watch)


if __name__ == "__main__":
    main()
