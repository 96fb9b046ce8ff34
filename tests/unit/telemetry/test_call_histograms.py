"""The cheap histograms of calls say what prometheus_client's own would."""

from __future__ import annotations

from threading import Thread

from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.samples import Sample

from telemetry.call_histograms import CallHistograms, HistogramSpec

SECONDS = HistogramSpec("test_seconds", "Time.", [0.001, 0.25, 1, 300])
SIZE = HistogramSpec("test_size", "Messages.", [1, 2, 500])


def samples(registry: CollectorRegistry) -> list[Sample]:
    return [
        sample for family in registry.collect() for sample in family.samples if not sample.name.endswith("_created")
    ]


@given(st.lists(st.tuples(st.floats(0, 1000), st.integers(1, 10_000))))
@example([(0.001, 1), (0.25, 2), (1, 500), (300, 501), (300.1, 1), (0, 1)])
def test_they_expose_what_prometheus_clients_own_would(calls: list[tuple[float, int]]) -> None:
    # Given both
    ours, theirs = CollectorRegistry(auto_describe=True), CollectorRegistry()
    histograms = CallHistograms(SECONDS, SIZE)
    ours.register(histograms)
    seconds, size = (
        Histogram(spec.name, spec.documentation, buckets=spec.buckets, registry=theirs) for spec in (SECONDS, SIZE)
    )
    # When they count the same calls
    for call in calls:
        histograms.note(*call)
        seconds.observe(call[0])
        size.observe(call[1])
    # Then what is exposed is the same, to the letter
    assert samples(ours) == samples(theirs)


def test_no_call_is_lost_between_threads() -> None:
    # Given
    registry = CollectorRegistry()
    histograms = CallHistograms(SECONDS, SIZE)
    registry.register(histograms)

    # When four threads count at once
    def count() -> None:
        for _ in range(20_000):
            histograms.note(0.5, 3)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then
    assert registry.get_sample_value("test_seconds_count") == 80_000
    assert registry.get_sample_value("test_seconds_bucket", {"le": "1.0"}) == 80_000
    assert registry.get_sample_value("test_size_sum") == 240_000


@given(st.lists(st.floats(0, 1000).map(lambda each: round(each * 8) / 8)))
def test_many_calls_of_one_message_count_as_each_by_itself(calls: list[float]) -> None:
    # Given
    at_once, one_by_one = CollectorRegistry(auto_describe=True), CollectorRegistry(auto_describe=True)
    together, alone = CallHistograms(SECONDS, SIZE), CallHistograms(SECONDS, SIZE)
    at_once.register(together)
    one_by_one.register(alone)
    # When
    together.note_each(calls)
    for seconds in calls:
        alone.note(seconds, 1)
    # Then
    assert samples(at_once) == samples(one_by_one)
