"""The loop that one writes without a library: confluent-kafka's ``poll()`` and orjson."""

from __future__ import annotations

import orjson
from confluent_kafka import Consumer

from benchmarks.programs.task import hand_in, read_task
from consumers.config import ConsumerConfig
from telemetry.process import relax_collector


def main() -> None:
    """Count every message of the topic."""
    task = read_task()
    relax_collector()  # as every worker does
    # Our own properties: it is the loop that is compared, not how well librdkafka's defaults suit it.
    config = ConsumerConfig(bootstrap_servers=task.bootstrap_servers, group_id=task.group)
    consumer = Consumer(config.to_librdkafka() | {"enable.auto.offset.store": True})
    consumer.subscribe([task.topic])
    watch = task.make_stopwatch()
    while True:
        message = consumer.poll(0.1)
        if message is None or message.error() is not None:
            continue
        value = orjson.loads(message.value())  # type: ignore[arg-type]  # no tombstone is among them
        if value and watch.count():
            break
    consumer.close()
    hand_in(watch)


if __name__ == "__main__":
    main()
