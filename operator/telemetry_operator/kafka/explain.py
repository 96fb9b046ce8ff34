"""From librdkafka's errors to a reason in one word and a sentence for a person."""

from __future__ import annotations

import re

from confluent_kafka import KafkaError

from telemetry_operator.kafka.errors import LOGIN_FAILED, NOT_ALLOWED, REFUSED, UNAVAILABLE, KafkaAway, KafkaProblem

_SILENT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
    }
)
"""Nobody answers, or nobody who may: time mends it."""
_NOT_LET_IN = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)
_NOT_ALLOWED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_TLS_REFUSAL = "SSL alert number"
"""How a broker says that it misses our certificate, or does not take it; to librdkafka, a connection was lost."""
_POINT = re.compile(r"(?:\S+/\S+: )?(?:Connect to \S+ failed: )?(?P<point>.*?)(?: \(after .*)?", re.DOTALL)


def explain(error: KafkaError | None, address: str, what: str = "") -> KafkaProblem:
    """Return the problem for an error that came of asking the Kafka at ``address`` for ``what``.

    None is no answer in time. Those that time or a login mends are KafkaAway.
    """
    about = f" about {what}" if what else ""
    if error is None:
        return KafkaAway(UNAVAILABLE, f"Kafka at {address} gives no answer{about} in time")
    point = _shorten(error.str())
    if error.code() in _NOT_LET_IN or _TLS_REFUSAL in point:
        return KafkaAway(LOGIN_FAILED, f"Kafka at {address} does not let the operator in: {point}")
    if error.code() in _SILENT:
        return KafkaAway(UNAVAILABLE, f"Kafka at {address} gives no answer{about}: {point}")
    if error.code() in _NOT_ALLOWED:
        return KafkaProblem(NOT_ALLOWED, f"Kafka at {address} does not tell the operator{about}: {point}")
    return KafkaProblem(REFUSED, f"Kafka at {address} says{about}: {point}")


def is_telling(error: KafkaError) -> bool:
    """Return whether an error that a client reports by itself says more than that nobody answers."""
    return error.code() not in {KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT}


def _shorten(text: str) -> str:
    """Return the point of ``HOST/bootstrap: Connect to ipv4#ADDRESS failed: POINT (after 0ms in state CONNECT)``."""
    match = _POINT.fullmatch(text)
    return (match["point"] if match else text).rstrip(".")
