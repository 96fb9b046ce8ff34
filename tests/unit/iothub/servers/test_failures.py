"""From the servers' own words to a person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from iothub.servers import amqtt_broker, kafka, mosquitto

BIND = """\
[2026-01-01 00:00:00,000] INFO Registered `kafka:type=kafka.Log4jController` MBean (kafka.utils.Log4jControllerReg)
org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: Address already in use.
"""
FULL = """\
[2026-01-01 00:00:00,000] INFO Registered `kafka:type=kafka.Log4jController` MBean (kafka.utils.Log4jControllerReg)
java.io.IOException: No space left on device
"""
CALM = "[2026-01-01 00:00:01,000] INFO Registered `kafka:type=kafka.Log4jController` MBean (k)\nINFO all is well\n"

MOSQUITTO_BIND = """\
2026-11-25T04:00:00: mosquitto version 2.0.11 starting
2026-11-25T04:00:00: Config loaded from mosquitto.conf.
2026-11-25T04:00:00: Opening ipv4 listen socket on port 1883.
2026-11-25T04:00:00: Error: Address already in use
"""
AMQTT_BIND = (
    "2026 INFO iothub.amqtt: amqtt 0.12.1 starts\nTraceback (most recent call last):\nOSError: [Errno 98] "
    "error while attempting to bind on address ('127.0.0.1', 1883): address already in use\n"
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BIND, "port 9092 is taken by another program; free it, or choose another with --kafka-port"),
        (FULL, "the disk that holds Kafka's data is full; make room, or start over with --fresh"),
        (CALM, None),
        (BIND + CALM, None),
        (FULL + BIND, "port 9092 is taken by another program; free it, or choose another with --kafka-port"),
        ("", None),
    ],
    ids=["port", "disk", "calm", "an earlier run's", "the last run's", "empty"],
)
def test_kafka(log: Path, text: str, sentence: str | None) -> None:
    log.write_text(text)
    assert kafka.explain_failure(log) == sentence


def test_mosquitto(log: Path) -> None:
    log.write_text(MOSQUITTO_BIND)
    assert mosquitto.explain_failure(log) == (
        "port 1883 is taken by another program; free it, or choose another with --mqtt-port"
    )
    log.write_text(MOSQUITTO_BIND + "2026-11-25T05:00:00: mosquitto version 2.0.11 starting\n")
    assert mosquitto.explain_failure(log) is None


def test_amqtt(log: Path) -> None:
    log.write_text(AMQTT_BIND)
    assert amqtt_broker.explain_failure(log) == (
        "port 1883 is taken by another program; free it, or choose another with --mqtt-port"
    )


def test_no_log_is_no_answer(log: Path) -> None:
    assert kafka.explain_failure(log) is None


def test_a_log_of_days_is_read_at_its_end(log: Path) -> None:
    log.write_text("x" * 10_000_000 + "\n" + FULL)
    assert kafka.explain_failure(log) is not None
