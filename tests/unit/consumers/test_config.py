"""A consumer's settings as librdkafka gets them: read what was committed, store nothing before it was handled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer

from consumers.config import ConsumerConfig
from consumers.kafka_consumer import KafkaConsumer
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES
from telemetry.errors import ConfigurationError
from telemetry.kafka_config import KafkaConfig
from telemetry.settings import load_settings
from unit.telemetry.setting_cases import Case, cover, wrong_values

if TYPE_CHECKING:
    from unit.conftest import SetVariables

CASES = [
    Case("KAFKA_GROUP_ID", "g", {"group.id": "g"}, ("g" * 256,)),
    Case("KAFKA_AUTO_OFFSET_RESET", "latest", {"auto.offset.reset": "latest"}, ("none", "first")),
    Case("KAFKA_GROUP_PROTOCOL", "consumer", {"group.protocol": "consumer"}, ("kip-848", "CLASSIC")),
    Case("KAFKA_SESSION_TIMEOUT_MS", "20000", {"session.timeout.ms": 20_000}, ("999", "3600001", "10s")),
    Case("KAFKA_HEARTBEAT_INTERVAL_MS", "500", {"heartbeat.interval.ms": 500}, ("99", "x")),
    Case("KAFKA_MAX_POLL_INTERVAL_MS", "60000", {"max.poll.interval.ms": 60_000}, ("999", "86400001", "5000")),
    Case("KAFKA_AUTO_COMMIT_INTERVAL_MS", "100", {"auto.commit.interval.ms": 100}, ("0", "x")),
]
ONLY_CLASSIC = {"partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms"}


def test_every_setting_of_its_own_has_its_case() -> None:
    assert cover(ConsumerConfig, CASES, beyond=KafkaConfig)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variable)
def test_a_setting_reaches_librdkafka(environment: SetVariables, case: Case) -> None:
    environment({})
    before = load_settings(ConsumerConfig).to_librdkafka()
    environment({case.variable: case.text})
    after = load_settings(ConsumerConfig).to_librdkafka()
    if case.variable == "KAFKA_GROUP_PROTOCOL":
        before = {name: value for name, value in before.items() if name not in ONLY_CLASSIC}
    assert after == before | case.value
    assert after != before


@pytest.mark.parametrize(("variable", "text"), wrong_values(CASES))
def test_a_wrong_value_is_blamed_by_name(environment: SetVariables, variable: str, text: str) -> None:
    environment({variable: text})
    with pytest.raises(ConfigurationError, match=f"^{variable}"):
        load_settings(ConsumerConfig)


def test_without_an_environment_it_is_the_documented_group(environment: SetVariables) -> None:
    environment({})
    config = ConsumerConfig()
    assert (config.bootstrap_servers, config.group_id, config.auto_offset_reset) == (
        "localhost:9092",
        "iot-hub",
        "earliest",
    )


def test_offsets_are_stored_by_us_alone(environment: SetVariables) -> None:
    environment({})
    assert ConsumerConfig().to_librdkafka()["enable.auto.offset.store"] is False


def test_a_classic_group_rebalances_cooperatively(environment: SetVariables) -> None:
    environment({})
    assert ConsumerConfig().to_librdkafka()["partition.assignment.strategy"] == "cooperative-sticky"


def test_a_group_of_the_new_protocol_leaves_timeouts_and_assignment_to_the_broker(environment: SetVariables) -> None:
    environment({"KAFKA_GROUP_PROTOCOL": "consumer", "KAFKA_MAX_POLL_INTERVAL_MS": "5000"})
    assert not ONLY_CLASSIC & set(load_settings(ConsumerConfig).to_librdkafka())


def test_a_fetch_has_room_for_the_largest_dead_letter(environment: SetVariables) -> None:
    environment({})
    assert ConsumerConfig().to_librdkafka()["receive.message.max.bytes"] > DLQ_MAX_MESSAGE_BYTES


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_takes_them_all(environment: SetVariables, protocol: str) -> None:
    environment({"KAFKA_GROUP_PROTOCOL": protocol, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    Consumer(load_settings(ConsumerConfig).to_librdkafka() | {"log_level": 0}).close()


def test_its_producer_reaches_the_same_kafka_and_gives_nothing_up(environment: SetVariables) -> None:
    # Given a consumer with a setting of each kind of its connection
    config = ConsumerConfig(
        bootstrap_servers="kafka:9093",
        client_id="me",
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="hub",
        sasl_password="hunter2",
        ssl_ca_location="/ca.crt",
        ssl_certificate_location="/tls.crt",
        ssl_key_location="/tls.key",
        properties={"socket.keepalive.enable": True},
    )
    # When
    producer = config.to_producer_config()
    # Then
    assert {name: getattr(producer, name) for name in KafkaConfig.model_fields} == {
        name: getattr(config, name) for name in KafkaConfig.model_fields
    } | {"properties": config.properties | {"delivery.report.only.error": True}}
    assert producer.to_librdkafka()["sasl.password"] == "hunter2"
    assert (producer.message_timeout_ms, producer.message_max_bytes) == (0, DLQ_MAX_MESSAGE_BYTES)


def test_how_long_the_group_waits_is_known_however_it_was_set() -> None:
    assert ConsumerConfig(max_poll_interval_ms=60_000).patience_seconds == 60
    assert ConsumerConfig(properties={"max.poll.interval.ms": "90000"}).patience_seconds == 90


def test_exactly_once_refuses_to_read_what_was_taken_back() -> None:
    config = ConsumerConfig(properties={"isolation.level": "read_uncommitted"})

    class Handler:
        def handle(self, payload: object) -> None:
            """Never called."""

    with pytest.raises(ConfigurationError, match=r"KAFKA_PROPERTIES: .* isolation\.level can't be 'read_uncommitted'"):
        KafkaConsumer(config, ["telemetry.raw"], Handler(), delivery="exactly-once")
