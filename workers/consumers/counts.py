"""What became of messages, in the metrics."""

from __future__ import annotations

from collections import Counter

from consumers.batch import Batch
from consumers.calls import Item
from telemetry import metrics


def count_batch(batch: Batch) -> None:
    """Count the messages of a batch that is done."""
    dead = Counter(item.record.topic for item in batch.dead)
    for item in batch.dead:
        metrics.CONSUMER_DEAD_LETTERS.labels(item.cause.reason if item.cause else "").inc()
    for topic, number in batch.count_topics().items():
        count(topic, "dead_lettered", dead[topic])
        count(topic, "handled", number - dead[topic])


def count_done(topic: str, items: list[Item]) -> None:
    """Count messages of ``topic`` that are done."""
    dead = [item.cause for item in items if item.cause is not None]
    for cause in dead:
        metrics.CONSUMER_DEAD_LETTERS.labels(cause.reason).inc()
    skipped = sum(item.skipped for item in items)
    count(topic, "dead_lettered", len(dead))
    count(topic, "skipped", skipped)
    count(topic, "handled", len(items) - len(dead) - skipped)


def count(topic: str, outcome: str, number: int) -> None:
    """Count ``number`` messages of ``topic``: ``handled``, ``dead_lettered``, ``skipped`` or ``retried``."""
    if number:
        metrics.CONSUMER_MESSAGES.labels(topic, outcome).inc(number)
