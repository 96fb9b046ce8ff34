"""From librdkafka's errors to reasons and sentences."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from telemetry_operator.kafka.errors import LOGIN_FAILED, NOT_ALLOWED, REFUSED, UNAVAILABLE, KafkaAway
from telemetry_operator.kafka.explain import explain, is_telling

REFUSED_TEXT = (
    "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)"
)


@pytest.mark.parametrize(
    ("code", "text", "reason", "away", "sentence"),
    [
        (
            KafkaError._TRANSPORT,
            REFUSED_TEXT,
            UNAVAILABLE,
            True,
            "Kafka at k:9092 gives no answer about group g: Connection refused",
        ),
        (
            KafkaError.NOT_COORDINATOR,
            "Broker: Not coordinator",
            UNAVAILABLE,
            True,
            "Kafka at k:9092 gives no answer about group g: Broker: Not coordinator",
        ),
        (
            KafkaError._AUTHENTICATION,
            "k:9092/bootstrap: SASL authentication error: Authentication failed (after 3ms in state AUTH_REQ)",
            LOGIN_FAILED,
            True,
            "Kafka at k:9092 does not let the operator in: SASL authentication error: Authentication failed",
        ),
        (
            KafkaError._TRANSPORT,
            "ssl://k:1/1: Receive failed: SSL routines::bad certificate: SSL alert number 42 (after 0ms)",
            LOGIN_FAILED,
            True,
            "Kafka at k:9092 does not let the operator in: Receive failed: SSL routines::bad certificate: "
            "SSL alert number 42",
        ),
        (
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            "Broker: Group authorization failed",
            NOT_ALLOWED,
            False,
            "Kafka at k:9092 does not tell the operator about group g: Broker: Group authorization failed",
        ),
        (
            KafkaError.OFFSET_METADATA_TOO_LARGE,
            "Broker: Offset metadata string too large",
            REFUSED,
            False,
            "Kafka at k:9092 says about group g: Broker: Offset metadata string too large",
        ),
    ],
)
def test_each_kind_has_its_reason_and_its_sentence(
    code: int, text: str, reason: str, away: bool, sentence: str
) -> None:
    problem = explain(KafkaError(code, text), "k:9092", "group g")
    assert (problem.reason, str(problem), isinstance(problem, KafkaAway)) == (reason, sentence, away)


def test_no_error_is_no_answer() -> None:
    problem = explain(None, "k:9092")
    assert isinstance(problem, KafkaAway)
    assert str(problem) == "Kafka at k:9092 gives no answer in time"


def test_that_nobody_answers_says_less_than_why() -> None:
    assert is_telling(KafkaError(KafkaError._TRANSPORT, REFUSED_TEXT))
    assert not is_telling(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
