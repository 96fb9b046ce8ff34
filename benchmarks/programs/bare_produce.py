"""The loop that one writes without a library: ``produce()`` of orjson's bytes, a callback for each message."""

from __future__ import annotations

from itertools import cycle, islice

import orjson
from confluent_kafka import KafkaError, Message, Producer

from benchmarks.messages import build_pool
from benchmarks.programs.task import hand_in, read_task
from producers.config import ProducerConfig
from telemetry.process import relax_collector


def main() -> None:
    """Send as many messages as are measured, and count their deliveries."""
    task = read_task()
    relax_collector()  # as every worker does
    watch = task.make_stopwatch()

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            watch.count()

    # Our own properties: it is the call that is compared, not the settings.
    producer = Producer(ProducerConfig(bootstrap_servers=task.bootstrap_servers).to_librdkafka())
    messages = [(sent.document, str(sent.document["device"])) for sent in build_pool()]
    for part in (task.warmup, task.messages):
        for document, key in islice(cycle(messages), part):
            value = orjson.dumps(document)
            while True:
                try:
                    producer.produce(task.topic, value, key, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
        producer.flush()
    hand_in(watch)


if __name__ == "__main__":
    main()
