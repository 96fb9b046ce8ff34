"""A producer's settings as librdkafka gets them: what makes delivery certain is not to be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from producers.config import ProducerConfig
from telemetry.errors import ConfigurationError
from telemetry.kafka_config import KafkaConfig
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

CASES = [
    Case("KAFKA_LINGER_MS", "0.5", {"linger.ms": 0.5}, ("-1", "900001", "nan", "5ms")),
    Case("KAFKA_COMPRESSION_TYPE", "zstd", {"compression.type": "zstd"}, ("rar", "LZ4")),
    Case("KAFKA_MESSAGE_TIMEOUT_MS", "0", {"message.timeout.ms": 0}, ("-1", "for ever")),
    Case("KAFKA_MESSAGE_MAX_BYTES", "2000000", {"message.max.bytes": 2_000_000}, ("999", "1000000001", "1MB")),
    Case("KAFKA_QUEUE_MAX_MESSAGES", "10", {"queue.buffering.max.messages": 10}, ("0", "10000001", "x")),
    Case("KAFKA_QUEUE_MAX_KBYTES", "1024", {"queue.buffering.max.kbytes": 1024}, ("0", "2147483648", "x")),
]


def test_every_setting_of_its_own_has_its_case() -> None:
    assert cover(ProducerConfig, CASES, beyond=KafkaConfig)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variable)
def test_a_setting_reaches_librdkafka(environment: SetVariables, case: Case) -> None:
    environment({})
    before = load_settings(ProducerConfig).to_librdkafka()
    environment({case.variable: case.text})
    after = load_settings(ProducerConfig).to_librdkafka()
    assert after == before | case.value
    assert after != before


@pytest.mark.parametrize(("variable", "text"), wrong_values(CASES))
def test_a_wrong_value_is_blamed_by_name(environment: SetVariables, variable: str, text: str) -> None:
    environment({variable: text})
    with pytest.raises(ConfigurationError, match=f"^{variable}: .*{text!r}"):
        load_settings(ProducerConfig)


def test_by_default_nothing_that_was_acknowledged_is_lost_or_doubled(environment: SetVariables) -> None:
    environment({})
    assert ProducerConfig().to_librdkafka() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "iot-hub",
        "security.protocol": "PLAINTEXT",
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "compression.type": "lz4",
        "message.timeout.ms": 300_000,
        "message.max.bytes": 2**20 + 64 * 1024,
        "queue.buffering.max.messages": 100_000,
        "queue.buffering.max.kbytes": 262_144,
    }


def test_no_variable_weakens_delivery(environment: SetVariables) -> None:
    environment({"KAFKA_ACKS": "0", "KAFKA_ENABLE_IDEMPOTENCE": "false"})
    properties = load_settings(ProducerConfig).to_librdkafka()
    assert (properties["acks"], properties["enable.idempotence"]) == ("all", True)


def test_a_connection_setting_is_a_producers_too(environment: SetVariables) -> None:
    environment({"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_PROPERTIES": '{"linger.ms": 50}'})
    properties = load_settings(ProducerConfig).to_librdkafka()
    assert (properties["bootstrap.servers"], properties["linger.ms"]) == ("kafka:9092", 50)


def test_librdkafka_takes_them_all(environment: SetVariables) -> None:
    environment({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_LINGER_MS": "2.5"})
    Producer(load_settings(ProducerConfig).to_librdkafka() | {"log_level": 0}).purge()
