"""aiokafka's ``async for`` and orjson, on uvloop."""

# mypy: disable-error-code="import-not-found"
# It runs in an environment of its own: ours does not have the peers.

from __future__ import annotations

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

from benchmarks.programs.task import hand_in, read_task


async def consume() -> None:
    """Count every message of the topic."""
    task = read_task()
    watch = task.make_stopwatch()
    consumer = AIOKafkaConsumer(
        task.topic,
        bootstrap_servers=task.bootstrap_servers,
        group_id=task.group,
        auto_offset_reset="earliest",
        max_poll_records=500,
    )
    await consumer.start()
    try:
        async for message in consumer:
            value = orjson.loads(message.value)
            if value and watch.count():
                break
    finally:
        await consumer.stop()
    hand_in(watch)


if __name__ == "__main__":
    uvloop.run(consume())
