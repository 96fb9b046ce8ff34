"""The validator on Quix Streams: one dataframe, one step that checks, one that writes to the right topic.

At least once: it commits every five seconds, behind a flush of its producer (idempotent, acks=all).
"""

# mypy: disable-error-code="import-not-found"
# It runs in an environment of its own: ours does not have the peers.

from __future__ import annotations

import tempfile
from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import SerializationContext, Serializer

from benchmarks.programs.pipeline import Output, Pipeline, build_output, read_pipeline


class OutputValue(Serializer):  # type: ignore[misc]  # the environment of the check does not have it
    """Takes the bytes out of an `Output`."""

    def __call__(self, value: Output, ctx: SerializationContext) -> bytes:
        return value.value


def main() -> None:
    """Run until SIGTERM."""
    pipeline = read_pipeline()
    with tempfile.TemporaryDirectory() as state:
        build_application(pipeline, state).run()


def build_application(pipeline: Pipeline, state: str) -> Any:
    """Return the application with its dataframe."""
    app = Application(
        broker_address=pipeline.bootstrap_servers,
        consumer_group=pipeline.group,
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        auto_create_topics=False,
        state_dir=state,
        consumer_extra_config={"fetch.queue.backoff.ms": 20},
        producer_extra_config={"acks": "all", "compression.type": "lz4", "linger.ms": 5},
        loglevel="WARNING",
    )
    raw = app.topic(pipeline.raw, value_deserializer="bytes", key_deserializer="bytes")
    outputs = {
        name: app.topic(name, value_serializer=OutputValue(), key_serializer="bytes")
        for name in (pipeline.clean, pipeline.dlq)
    }

    def check(value: bytes, key: bytes | None, timestamp: int, headers: list[tuple[str, bytes]] | None) -> Output:
        place = message_context()
        return build_output(pipeline, value, key, headers or [], place.partition, place.offset)

    frame = app.dataframe(raw)
    frame = frame.apply(check, metadata=True)
    frame = frame.set_headers(lambda value, key, timestamp, headers: value.headers)
    frame.to_topic(lambda value, key, timestamp, headers: outputs[value.topic], key=lambda value: value.key)
    return app


if __name__ == "__main__":
    main()
