"""Every metric of the workers and of ingestion, in one place. The prefix is ``iothub_``."""

from __future__ import annotations

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from telemetry.call_histograms import CallHistograms, HistogramSpec

CONSUMER_MESSAGES = Counter(
    "iothub_consumer_messages_total",
    "Messages that a consumer is done with or tries again, by outcome: handled, dead_lettered, skipped, retried.",
    ["topic", "outcome"],
)
CONSUMER_CALLS = CallHistograms(
    seconds=HistogramSpec(
        "iothub_consumer_handle_seconds",
        "Time that one call of the handler took, in seconds.",
        [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    ),
    size=HistogramSpec(
        "iothub_consumer_batch_size",
        "Messages in one call of the handler.",
        [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000],
    ),
)
REGISTRY.register(CONSUMER_CALLS)
CONSUMER_DEAD_LETTERS = Counter(
    "iothub_consumer_dead_letters_total", "Messages put on the dead-letter topic, by reason.", ["reason"]
)
CONSUMER_LAG = Gauge(
    "kafka_consumergroup_lag",
    "Messages of a partition that its consumer is not done with, looked at every few seconds.",
    ["consumergroup", "topic", "partition"],
)
CONSUMER_HELD_PARTITIONS = Gauge(
    "iothub_consumer_held_partitions", "Partitions that wait to try a message again; nothing of theirs is skipped."
)
INGESTION_MESSAGES = Counter(
    "iothub_ingestion_messages_total",
    "Messages that came in, by source (mqtt, http) and outcome: accepted, too_large, failed.",
    ["source", "outcome"],
)
INGESTION_ACK_SECONDS = Histogram(
    "iothub_ingestion_ack_seconds",
    "Time from a message's arrival to its acknowledgement, in seconds.",
    ["source"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
INGESTION_IN_FLIGHT = Gauge(
    "iothub_ingestion_in_flight", "Messages that have come in and are not acknowledged yet.", ["source"]
)
INGESTION_HTTP_RESPONSES = Counter(
    "iothub_ingestion_http_responses_total", "Answers to HTTP requests of devices, by status.", ["status"]
)
PRODUCER_QUEUE = Gauge("iothub_producer_queue", "Messages handed to the producer that Kafka has not acknowledged.")
PRODUCER_FAILURES = Counter(
    "iothub_producer_failures_total", "Messages that Kafka did not take, by librdkafka's name of the error.", ["code"]
)
PRODUCER_DROPPED = Counter(
    "iothub_producer_dropped_total", "Messages dropped because the producer's queue was full and the caller chose so."
)
BUILD_INFO = Gauge("iothub_build_info", "Version of the software; the value is always 1.", ["version", "component"])
