"""``python -m ingestion.mqtt``: from the MQTT broker into Kafka.

The broker keeps each message until our PUBACK, and our PUBACK goes out from Kafka's delivery report. Whatever dies in
between, the session at the broker sends the message again.
"""

from __future__ import annotations

import signal
import sys

import structlog

from ingestion.broker_statistics import BrokerStatistics
from ingestion.intake import Intake
from ingestion.mqtt_session import MqttSession
from ingestion.settings import IngestionSettings, MqttSettings
from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES
from telemetry.errors import ConfigurationError
from telemetry.health import HealthServer
from telemetry.kafka_config import find_unknown_variables
from telemetry.process import ProcessSettings, find_version, relax_collector, run_process
from telemetry.settings import load_settings

log = structlog.get_logger(__name__)


def check_windows(mqtt: MqttSettings, kafka: ProducerConfig) -> None:
    """Raise ConfigurationError where what the broker may send does not fit into the producer's queue."""
    if mqtt.receive_maximum > kafka.queue_max_messages:
        raise ConfigurationError(
            f"MQTT_RECEIVE_MAXIMUM is {mqtt.receive_maximum}, more than the {kafka.queue_max_messages} messages of "
            "KAFKA_QUEUE_MAX_MESSAGES: what the broker may send at a time has to fit into the producer's queue"
        )
    room = kafka.queue_max_kbytes * 1024
    if mqtt.max_in_flight_bytes + DLQ_MAX_MESSAGE_BYTES > room:
        raise ConfigurationError(
            f"MQTT_MAX_IN_FLIGHT_BYTES is {mqtt.max_in_flight_bytes}: with one of the largest messages "
            f"({DLQ_MAX_MESSAGE_BYTES} bytes) that is more than KAFKA_QUEUE_MAX_KBYTES has room for ({room} bytes)"
        )


def main() -> int:
    """Run MQTT ingestion as the environment says until SIGTERM or SIGINT; return the process's exit code."""
    return run_process(_run)


def _run(process: ProcessSettings) -> None:
    mqtt, kafka, settings = load_settings(MqttSettings), load_settings(ProducerConfig), load_settings(IngestionSettings)
    check_windows(mqtt, kafka)
    for name in find_unknown_variables(ProducerConfig):
        log.warning("unknown variable, ignored", variable=name)
    intake = Intake(kafka, settings, source="mqtt", name=mqtt.client_id)
    session = MqttSession(mqtt, intake, most_messages=kafka.queue_max_messages)
    signal.signal(signal.SIGTERM, session.stop)
    signal.signal(signal.SIGINT, session.stop)
    metrics.BUILD_INFO.labels(find_version(), "ingestion-mqtt").set(1)
    live = {"loop": session.find_liveness_problem, "producer": intake.find_liveness_problem}
    ready = {"broker": session.find_readiness_problem}
    relax_collector()
    statistics = BrokerStatistics(mqtt)
    with HealthServer(process.http_port, live=live, ready=ready):
        statistics.start()
        try:
            session.run()
        finally:
            statistics.stop()


if __name__ == "__main__":
    sys.exit(main())
