"""The sentences for a Kafka that does not answer, and for names that nobody has."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from iothub.kafka.client import build_missing_sentence, explain_silence


def refused(text: str) -> KafkaError:
    return KafkaError(KafkaError._TRANSPORT, text)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        (
            "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state "
            "CONNECT)",
            "Connection refused",
        ),
        (
            "no.such:1/bootstrap: Failed to resolve 'no.such:1': Name or service not known (after 1ms in state UP)",
            "Failed to resolve 'no.such:1': Name or service not known",
        ),
        ("Local: Broker transport failure", "Local: Broker transport failure"),
    ],
)
def test_of_what_librdkafka_says_the_point_is_shown(text: str, point: str) -> None:
    assert explain_silence("kafka:9094", refused(text)) == (
        f"no Kafka answers at kafka:9094: {point}; look at the address"
    )


def test_where_nothing_was_named_the_sentence_says_what_to_type() -> None:
    sentence = explain_silence("localhost:9092", refused("Connection refused"))
    assert "start a hub with `iothub up`, or name a Kafka with --bootstrap-servers" in sentence


def test_where_a_password_is_wrong_the_address_is_not_to_blame() -> None:
    error = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error: Invalid username or password")
    assert explain_silence("localhost:9092", error) == (
        "Kafka at localhost:9092 does not let us in: SASL authentication error: Invalid username or password; "
        "look at the KAFKA_* variables"
    )


def test_what_kafka_refuses_is_told_in_its_words() -> None:
    error = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "Broker: Group authorization failed")
    assert explain_silence("kafka:9094", error) == "Kafka at kafka:9094 says: Broker: Group authorization failed"


def test_a_request_that_times_out_is_silence() -> None:
    assert explain_silence("kafka:9094", KafkaError(KafkaError._TIMED_OUT, "Local: Timed out")).startswith(
        "no Kafka answers at kafka:9094: Local: Timed out"
    )


def test_without_any_word_from_it() -> None:
    assert "no answer in time" in explain_silence("kafka:9094", None)


def test_a_name_that_nobody_has_comes_with_the_one_that_was_meant() -> None:
    known = ["telemetry.raw", "telemetry.clean"]
    assert build_missing_sentence("topic", "telemetry.rwa", known, "the hub 'hub'") == (
        "there is no topic 'telemetry.rwa' in the hub 'hub'; did you mean 'telemetry.raw'?"
    )
    assert build_missing_sentence("group", "zzz", known, "it") == (
        "there is no group 'zzz' in it; `iothub groups` lists what there is"
    )
