"""The validator on FastStream, in batches of 500, all of a batch published at once, on confluent-kafka: its faster
client for this.

At least once: a batch is acknowledged (a synchronous commit) once every publish of it is confirmed, with acks=all. As
fast as its settings make it: uvloop, no log line a message, no validation of arguments (``apply_types``), records as
they come from the client (``decoder``).
"""

# mypy: disable-error-code="import-not-found"
# It runs in an environment of its own: ours does not have the peers.

from __future__ import annotations

import asyncio
import signal
from typing import Any

import uvloop
from faststream import AckPolicy
from faststream.confluent import KafkaBroker

from benchmarks.programs.pipeline import BATCH, Output, Pipeline, build_output, read_pipeline


async def run() -> None:
    """Run until SIGTERM."""
    pipeline = read_pipeline()
    broker = KafkaBroker(
        pipeline.bootstrap_servers,
        logger=None,
        apply_types=False,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
    )

    async def handle(records: Any) -> None:
        await asyncio.gather(
            *(
                broker.publish(
                    output.value,
                    output.topic,
                    key=output.key,
                    headers={name: content.decode() for name, content in output.headers},
                )
                for output in _check(pipeline, records)
            )
        )

    broker.subscriber(
        pipeline.raw,
        group_id=pipeline.group,
        auto_offset_reset="earliest",
        batch=True,
        max_records=BATCH,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        decoder=_as_records,
    )(handle)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with broker:
        await broker.start()
        await ended.wait()


async def _as_records(message: Any) -> Any:
    return message.raw_message


def _check(pipeline: Pipeline, records: Any) -> list[Output]:
    return [
        build_output(
            pipeline, record.value(), record.key(), record.headers() or [], record.partition(), record.offset()
        )
        for record in records
    ]


if __name__ == "__main__":
    uvloop.run(run())
