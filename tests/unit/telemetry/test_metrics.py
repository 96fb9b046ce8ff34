"""The names of the metrics are a contract: dashboards and alerts ask for them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from telemetry import metrics

OURS = {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}
CALLS = metrics.CONSUMER_CALLS.specs

NAMES: dict[str, tuple[type[MetricWrapperBase], tuple[str, ...]]] = {
    "iothub_consumer_messages_total": (Counter, ("topic", "outcome")),
    "iothub_consumer_dead_letters_total": (Counter, ("reason",)),
    "iothub_consumer_held_partitions": (Gauge, ()),
    "kafka_consumergroup_lag": (Gauge, ("consumergroup", "topic", "partition")),
    "iothub_ingestion_messages_total": (Counter, ("source", "outcome")),
    "iothub_ingestion_ack_seconds": (Histogram, ("source",)),
    "iothub_ingestion_in_flight": (Gauge, ("source",)),
    "iothub_ingestion_http_responses_total": (Counter, ("status",)),
    "iothub_producer_queue": (Gauge, ()),
    "iothub_producer_failures_total": (Counter, ("code",)),
    "iothub_producer_dropped_total": (Counter, ()),
    "iothub_build_info": (Gauge, ("version", "component")),
}
"""From name, as Prometheus sees it, to kind and labels."""


def exposed_name(metric: MetricWrapperBase) -> str:
    return f"{metric._name}{'_total' if isinstance(metric, Counter) else ''}"


def test_names_kinds_and_labels_are_as_agreed() -> None:
    found = {exposed_name(metric): (type(metric), metric._labelnames) for metric in OURS.values()}
    assert found == NAMES
    assert [spec.name for spec in CALLS] == ["iothub_consumer_handle_seconds", "iothub_consumer_batch_size"]


@pytest.mark.parametrize(
    "documentation", [metric._documentation for metric in OURS.values()] + [spec.documentation for spec in CALLS]
)
def test_every_metric_says_in_a_sentence_what_it_counts(documentation: str) -> None:
    assert documentation.endswith(".")
    assert len(documentation) > 20


def test_the_time_of_a_call_is_told_apart_from_a_tenth_of_a_millisecond_to_five_minutes() -> None:
    bounds = CALLS[0].buckets
    assert (bounds[0], bounds[-1]) == (0.0001, 300)
    assert sum(bound <= 0.01 for bound in bounds) >= 7
    # Between two neighbours an estimated quantile is off by their ratio at most.
    assert max(wider / bound for bound, wider in pairwise(bounds)) <= 3


def test_what_is_counted_is_exposed_under_its_name_and_labels() -> None:
    # Given
    labels = {"topic": "test.metrics", "outcome": "handled"}
    assert REGISTRY.get_sample_value("iothub_consumer_messages_total", labels) is None
    # When
    metrics.CONSUMER_MESSAGES.labels(*labels.values()).inc(3)
    # Then
    assert REGISTRY.get_sample_value("iothub_consumer_messages_total", labels) == 3
    assert b'iothub_consumer_messages_total{outcome="handled",topic="test.metrics"} 3.0' in generate_latest(REGISTRY)
