"""Metrics that only HTTP ingestion has; those that it shares are in `telemetry.metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

OPEN_CONNECTIONS = Gauge("iothub_ingestion_http_open_connections", "Connections of devices that are open.")
LIMITED = Counter(
    "iothub_ingestion_http_connections_limited_total",
    "New connections that found INGESTION_MAX_CONNECTIONS open, by outcome: made_room (the longest idle one was "
    "closed), refused (503), cut_off.",
    ["outcome"],
)
