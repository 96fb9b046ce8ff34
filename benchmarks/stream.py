"""A steady stream into a raw topic, and when what became of it arrives at the other end."""

from __future__ import annotations

import threading
import time
from itertools import cycle
from types import TracebackType
from typing import Self, cast

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.kafka import PARTITIONS
from benchmarks.messages import build_pool
from benchmarks.programs.pipeline import Pipeline
from telemetry import headers as h

_ROUND_SECONDS = 0.01
"""One message into each partition so often: 600 a second in all."""
_SENT_AT = "bench.sent_at"
_POOL = 600


class _Thread:
    """Does one thing on a thread, from entering the ``with`` block to leaving it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self.work, daemon=True)

    def work(self) -> None:
        """Go on until ``ended`` is set."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._thread.join()


class Stream(_Thread):
    """Sends valid messages into every partition in turn, each with the moment at which it was sent."""

    def work(self) -> None:
        """Send."""
        producer = Producer({"bootstrap.servers": self.pipeline.bootstrap_servers, "linger.ms": 0})
        messages = cycle(build_pool(size=_POOL))
        while not self.ended.wait(_ROUND_SECONDS):
            for partition in range(PARTITIONS):
                record = next(messages).record
                producer.produce(
                    self.pipeline.raw,
                    record.value,
                    record.key,
                    partition=partition,
                    headers=[*record.headers, (_SENT_AT, repr(time.time()).encode())],
                )
            producer.poll(0)
        producer.flush(10)


class Arrivals(_Thread):
    """Watches the clean topic. Times are those of ``time.time()``, by partition of the raw topic."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        self.last: dict[int, float] = {}
        """When the last record arrived."""
        self.first: dict[int, float] = {}
        """When the first record arrived whose raw one was sent after the moment of `expect_after`."""
        self._after: float | None = None

    def expect_after(self, moment: float) -> None:
        """Note, from now on, first arrivals of what was sent after ``moment``."""
        self._after = moment

    def work(self) -> None:
        """Read."""
        client = Consumer(
            {
                "bootstrap.servers": self.pipeline.bootstrap_servers,
                "group.id": f"{self.pipeline.group}-arrivals",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        client.assign([TopicPartition(self.pipeline.clean, partition, 0) for partition in range(PARTITIONS)])
        try:
            while not self.ended.is_set():
                message = client.poll(0.1)
                if message is not None and message.error() is None:
                    self._note(message, time.time())
        finally:
            client.close()

    def _note(self, message: Message, now: float) -> None:
        headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
        partition = int(headers[h.RAW_PARTITION])
        self.last[partition] = now
        if self._after is not None and float(headers[_SENT_AT]) > self._after:
            self.first.setdefault(partition, now)
