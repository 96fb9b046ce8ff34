"""Every metric of the operator, in one place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

REGISTRY = CollectorRegistry()
"""Our own: the workers, in whose tests both may be imported, register metrics of the same names."""
PlatformCollector(REGISTRY)
ProcessCollector(registry=REGISTRY)

API_CALLS = Counter(
    "iothub_operator_api_calls_total",
    "Calls to the API server, the watches of kopf left out, by method and kind of object.",
    ["method", "resource"],
    registry=REGISTRY,
)
RECONCILES = Counter(
    "iothub_operator_reconciles_total",
    "Reconciles by outcome: Ready, Reconciling, Stalled, later (to be reported), gone, error.",
    ["outcome"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "iothub_operator_reconcile_seconds",
    "Time that one reconcile took, in seconds.",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    registry=REGISTRY,
)
QUEUE = Gauge("iothub_operator_queue", "TelemetryConsumers that wait for a reconcile or are in one.", registry=REGISTRY)
CONSUMERS = Gauge(
    "iothub_operator_consumers",
    "TelemetryConsumers by the condition that is true.",
    ["condition"],
    registry=REGISTRY,
)
PASSES = Counter(
    "iothub_operator_passes_total",
    "Rounds of the periodic pass, by outcome: done, failed.",
    ["outcome"],
    registry=REGISTRY,
)
BUILD_INFO = Gauge(
    "iothub_build_info",
    "Version of the software; the value is always 1.",
    ["version", "component"],
    registry=REGISTRY,
)


def read_version() -> str:
    """Return the version of the installed package."""
    try:
        return version("iot-hub-telemetry")
    except PackageNotFoundError:
        return os.environ.get("IOT_HUB_VERSION", "unknown")  # the image says, where no wheel is installed


def count_conditions(conditions: Iterable[str]) -> None:
    """Set the gauge of TelemetryConsumers from the condition that is true of each."""
    counts = dict.fromkeys(("Ready", "Reconciling", "Stalled"), 0)
    for condition in conditions:
        counts[condition] = counts.get(condition, 0) + 1
    for condition, count in counts.items():
        CONSUMERS.labels(condition=condition).set(count)
