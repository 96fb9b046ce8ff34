"""How far a member is behind in the partitions that it owns, as a metric under the name that Kafka's exporters use.

librdkafka learns the end of a partition with each fetch, so the look costs next to nothing. A partition that waits is
not fetched: for that one Kafka is asked, and less often.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Gauge

from consumers.holds import Partition
from consumers.progress import Place
from telemetry import metrics

_INTERVAL = 5.0
_ASKING_INTERVAL = 15.0
_REQUEST = 1.0


class Lag:
    """Keeps ``kafka_consumergroup_lag`` of one group's member."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._looked_at = self._asked_at = 0.0

    def note(self, client: Consumer, places: Mapping[Partition, Place], waiting: Collection[Partition]) -> None:
        """Look, where it is time to. ``waiting`` are those of ``places`` that are not fetched."""
        now = time.monotonic()
        if now - self._looked_at < _INTERVAL:
            return
        self._looked_at = now
        ask = bool(waiting) and now - self._asked_at >= _ASKING_INTERVAL
        if ask:
            self._asked_at = now
        for partition, place in places.items():
            if place.position is not None and (ask or partition not in waiting):
                end = _find_end(client, partition, cached=partition not in waiting)
                if end is not None:
                    self._gauge(partition).set(max(0, end - place.position))

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Say no more of partitions that somebody else has now."""
        for topic, number in partitions:
            metrics.CONSUMER_LAG.remove(self._group, topic, str(number))

    def _gauge(self, partition: Partition) -> Gauge:
        topic, number = partition
        return metrics.CONSUMER_LAG.labels(self._group, topic, str(number))


def _find_end(client: Consumer, partition: Partition, *, cached: bool) -> int | None:
    try:
        ends = client.get_watermark_offsets(TopicPartition(*partition), timeout=_REQUEST, cached=cached)
    except KafkaException:
        return None
    return ends[1] if ends is not None and ends[1] >= 0 else None
