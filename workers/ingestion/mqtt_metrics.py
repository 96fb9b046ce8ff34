"""Metrics that only MQTT ingestion has; those that it shares are in `telemetry.metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

BROKER_LIMITS = Gauge(
    "iothub_ingestion_broker_limit",
    "Limits that the MQTT broker named when it accepted the connection: sizes in bytes, times in seconds, 1 for yes.",
    ["limit"],
)
CONNECTED = Gauge("iothub_ingestion_mqtt_connected", "Whether the subscription at the MQTT broker stands (1) or not.")
CONNECTIONS = Counter("iothub_ingestion_mqtt_connections_total", "Connections that the MQTT broker has accepted.")
REDELIVERIES = Counter(
    "iothub_ingestion_redeliveries_total",
    "Times that the connection was given up so that the broker sends again, by reason: failed, no_room.",
    ["reason"],
)
STORED_MESSAGES = Gauge(
    "iothub_ingestion_broker_stored_messages",
    "Messages that the MQTT broker holds, those that wait for ingestion among them, as it says in MQTT_STORED_TOPIC.",
)
IN_FLIGHT_BYTES = Gauge("iothub_ingestion_in_flight_bytes", "Bytes of payloads that wait for Kafka's acknowledgement.")
