"""FastStream with a subscriber for one message at a time, on aiokafka: its faster client for this.

Its fastest settings that are a user's own: uvloop, no log line a message, no validation of the argument's type
(``apply_types``), offsets committed on an interval (its default, ``ACK_FIRST``).
"""

# mypy: disable-error-code="import-not-found"
# It runs in an environment of its own: ours does not have the peers.

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import uvloop
from faststream.kafka import KafkaBroker

from benchmarks.programs.task import hand_in, read_task


async def consume() -> None:
    """Count every message of the topic."""
    task = read_task()
    watch = task.make_stopwatch()
    done = asyncio.Event()

    async def handle(body: bytes) -> None:
        value = orjson.loads(body)
        if value and watch.count():
            done.set()

    broker = KafkaBroker(task.bootstrap_servers, logger=None, apply_types=False)
    broker.subscriber(task.topic, group_id=task.group, auto_offset_reset="earliest", decoder=_as_bytes)(handle)
    async with broker:
        await broker.start()
        await done.wait()
    hand_in(watch)


async def _as_bytes(message: Any) -> bytes:
    """Leave the decoding to orjson: FastStream's own looks at the content type first, and uses the slower json."""
    return bytes(message.body)


if __name__ == "__main__":
    uvloop.run(consume())
