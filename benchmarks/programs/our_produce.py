"""`KafkaProducer` with keyed dicts and a callback for each message."""

from __future__ import annotations

from itertools import cycle, islice

from confluent_kafka import Message

from benchmarks.messages import build_pool
from benchmarks.programs.task import hand_in, read_task
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from telemetry.errors import DeliveryError
from telemetry.logs import configure_logging
from telemetry.process import relax_collector


def main() -> None:
    """Send as many messages as are measured, and count their deliveries."""
    configure_logging("WARNING")
    relax_collector()
    task = read_task()
    watch = task.make_stopwatch()

    def delivered(error: DeliveryError | None, message: Message) -> None:
        if error is None:
            watch.count()

    producer = KafkaProducer(ProducerConfig(bootstrap_servers=task.bootstrap_servers), task.topic)
    messages = [(sent.document, str(sent.document["device"])) for sent in build_pool()]
    for part in (task.warmup, task.messages):
        for document, key in islice(cycle(messages), part):
            producer.produce(document, key, on_delivery=delivered)
        producer.flush()
    hand_in(watch)


if __name__ == "__main__":
    main()
