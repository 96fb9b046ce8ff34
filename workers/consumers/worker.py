"""A worker process: settings from the environment, a handler, one `KafkaConsumer`, probes, and an orderly end."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

import structlog

from consumers.calls import Handler
from consumers.config import ConsumerConfig
from consumers.handlers import load_handler, set_up
from consumers.kafka_consumer import KafkaConsumer
from consumers.settings import WorkerSettings
from consumers.start_offsets import prepare_group
from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.health import HealthServer
from telemetry.kafka_config import find_unknown_variables
from telemetry.process import ProcessSettings, find_version, relax_collector, run_process
from telemetry.settings import load_settings

_WAIT_FOR_KAFKA = 15.0

log = structlog.get_logger(__name__)


def run_worker(*, preflight: bool = False, **defaults: Any) -> int:
    """Run the worker that the environment describes until SIGTERM or SIGINT; return the process's exit code.

    ``defaults`` are fields of `WorkerSettings` that the environment need not set. With ``preflight`` it only tries:
    the settings, the handler with its ``setup()``, Kafka, the topics; and commits the group's starting offsets.
    """
    return run_process(partial(_run, preflight, defaults))


def _run(preflight: bool, defaults: dict[str, Any], process: ProcessSettings) -> None:
    config = load_settings(ConsumerConfig)
    settings = load_settings(WorkerSettings, **_without_set_variables(defaults))
    for name in find_unknown_variables(ConsumerConfig, ProducerConfig):
        log.warning("unknown variable, ignored", variable=name)
    handler = load_handler(settings.handler, file=settings.handler_file, options=settings.handler_options)
    set_up(handler)
    if preflight or settings.start_from != "earliest":
        prepare_group(config, settings.topics, settings.start_from, wait=_WAIT_FOR_KAFKA)
    if preflight:
        _close(handler)
        log.info("preflight passed", handler=settings.handler, topics=settings.topics, group=config.group_id)
    else:
        _consume(process, config, settings, handler)


def _consume(process: ProcessSettings, config: ConsumerConfig, settings: WorkerSettings, handler: Handler) -> None:
    consumer = KafkaConsumer(
        config=config,
        topics=settings.topics,
        handler=handler,
        consume_timeout=settings.timeout_seconds,
        decode_json=settings.decode_json,
        consume_batch=settings.batch,
        batch_max_size=settings.batch_max_size,
        commit=settings.commit,
        delivery=settings.delivery,
        dlq_topic=settings.dlq_topic,
        output_topic=settings.output_topic,
        max_attempts=settings.max_attempts,
        handle_limit=settings.handle_limit_seconds,
    )
    signal.signal(signal.SIGTERM, consumer.stop)
    signal.signal(signal.SIGINT, consumer.stop)
    metrics.BUILD_INFO.labels(find_version(), "worker").set(1)
    relax_collector()
    checks = {"loop": consumer.find_liveness_problem}, {"group": consumer.find_readiness_problem}
    with HealthServer(process.http_port, live=checks[0], ready=checks[1]):
        try:
            consumer.start()
        finally:
            _close(handler)


def _close(handler: Handler) -> None:
    close = getattr(handler, "close", None)
    if close is not None:
        close()


def _without_set_variables(defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults that the environment does not override."""
    return {name: value for name, value in defaults.items() if not os.environ.get(f"CONSUMER_{name.upper()}")}
