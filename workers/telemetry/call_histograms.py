"""Two histograms of one event, a call: how long it took, and how many messages it had.

prometheus_client's own take a lock for the bucket and another for the sum, and look through the buckets one by one.
Twice a message, that costs more than the rest of handing it over. Here one lock does, and the buckets are added up when
somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


@dataclass(frozen=True, slots=True)
class HistogramSpec:
    """A histogram's name, what it measures, and the upper bounds of its buckets but the last, which has none."""

    name: str
    documentation: str
    buckets: Sequence[float]


class CallHistograms(Collector):
    """Counts calls by seconds and by size. Safe from several threads; exact."""

    def __init__(self, seconds: HistogramSpec, size: HistogramSpec) -> None:
        self.specs = (seconds, size)
        self._second_bounds = tuple(seconds.buckets)
        self._size_bounds = tuple(size.buckets)
        self._by_seconds = [0] * (len(seconds.buckets) + 1)
        self._by_size = [0] * (len(size.buckets) + 1)
        self._seconds = 0.0
        self._size = 0
        self._lock = Lock()

    def note(self, seconds: float, size: int) -> None:
        """Count one call."""
        second_bucket = bisect_left(self._second_bounds, seconds)
        size_bucket = bisect_left(self._size_bounds, size)
        with self._lock:
            self._by_seconds[second_bucket] += 1
            self._by_size[size_bucket] += 1
            self._seconds += seconds
            self._size += size

    def note_each(self, seconds: Sequence[float]) -> None:
        """Count calls of one message each."""
        bounds, by_seconds = self._second_bounds, self._by_seconds
        with self._lock:
            for each in seconds:
                by_seconds[bisect_left(bounds, each)] += 1
            self._seconds += sum(seconds)
            self._by_size[bisect_left(self._size_bounds, 1)] += len(seconds)
            self._size += len(seconds)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return both histograms as they are at one moment."""
        with self._lock:
            counts = (list(self._by_seconds), list(self._by_size))
            sums = (self._seconds, self._size)
        return [_build_family(*each) for each in zip(self.specs, counts, sums, strict=True)]


def _build_family(spec: HistogramSpec, counts: Sequence[int], total: float) -> HistogramMetricFamily:
    # As prometheus_client itself writes them: what dashboards ask for must not change.
    bounds = [floatToGoString(bound) for bound in (*spec.buckets, "+Inf")]  # type: ignore[no-untyped-call]
    buckets = [(bound, float(count)) for bound, count in zip(bounds, accumulate(counts), strict=True)]
    return HistogramMetricFamily(spec.name, spec.documentation, buckets=buckets, sum_value=total)
