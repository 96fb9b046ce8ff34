"""Metrics of the operator's Kafka client, in the operator's registry."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from telemetry_operator.metrics import REGISTRY

PASSES = Counter(
    "iothub_operator_kafka_passes_total",
    "Passes in which Kafka was asked about the groups, by outcome: done, failed.",
    ["outcome"],
    registry=REGISTRY,
)
PASS_SECONDS = Histogram(
    "iothub_operator_kafka_pass_seconds",
    "Time that one pass over the groups took, in seconds.",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
ERRORS = Counter(
    "iothub_operator_kafka_errors_total",
    "What Kafka did not tell or do, by reason, once a pass and group.",
    ["reason"],
    registry=REGISTRY,
)
GROUPS = Gauge("iothub_operator_kafka_groups", "Groups that Kafka is asked about.", registry=REGISTRY)
