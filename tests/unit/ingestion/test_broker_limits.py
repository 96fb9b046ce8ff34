"""What a broker says of itself, and whether ingestion can live with it."""

from __future__ import annotations

from typing import Any

import pytest

from ingestion.broker_limits import BrokerLimits, find_problem, find_warnings, read_limits
from ingestion.settings import MqttSettings

WEEK = 7 * 24 * 3600


def settings(**given: Any) -> MqttSettings:
    return MqttSettings(**given)


def test_what_is_not_said_is_as_the_standard_has_it_or_as_asked_for() -> None:
    assert read_limits({}, settings()) == BrokerLimits(
        receive_maximum=65_535,
        maximum_qos=2,
        maximum_packet_size=268_435_460,
        session_expiry_seconds=WEEK,
        keepalive_seconds=30,
    )


def test_what_is_said_counts() -> None:
    said = {
        "ReceiveMaximum": 20,
        "MaximumQoS": 1,
        "MaximumPacketSize": 1000,
        "SessionExpiryInterval": 60,
        "ServerKeepAlive": 10,
        "RetainAvailable": 0,
        "WildcardSubscriptionAvailable": 0,
        "SharedSubscriptionAvailable": 0,
    }
    limits = read_limits(said, settings())
    assert limits == BrokerLimits(20, 1, 1000, 60, 10, False, False, False)
    assert limits.as_numbers() == {
        "receive_maximum": 20,
        "maximum_qos": 1,
        "maximum_packet_size": 1000,
        "session_expiry_seconds": 60,
        "keepalive_seconds": 10,
        "retain_available": 0,
        "wildcards_available": 0,
        "shared_subscriptions_available": 0,
    }


@pytest.mark.parametrize(
    ("said", "given", "problem"),
    [
        ({}, {}, None),
        ({"MaximumQoS": 1}, {"share_group": "hub"}, None),
        ({"MaximumQoS": 0}, {}, "the broker offers only QoS 0"),
        ({"SharedSubscriptionAvailable": 0}, {}, None),
        ({"SharedSubscriptionAvailable": 0}, {"share_group": "hub"}, "the broker has no shared subscriptions"),
        ({"WildcardSubscriptionAvailable": 0}, {}, "the broker takes no wildcards"),
        ({"WildcardSubscriptionAvailable": 0}, {"topics": ("a/b",)}, None),
    ],
)
def test_a_broker_that_can_t_serve_is_known_by_a_sentence(
    said: dict[str, int], given: dict[str, Any], problem: str | None
) -> None:
    found = find_problem(read_limits(said, settings(**given)), settings(**given))
    assert found == problem if problem is None else (found or "").startswith(problem)


def test_less_than_was_asked_for_is_told() -> None:
    assert find_warnings(read_limits({}, settings()), settings()) == []
    short, deaf = find_warnings(
        read_limits({"SessionExpiryInterval": 3600, "RetainAvailable": 0}, settings()), settings()
    )
    assert "keeps the session for 3600 s" in short
    assert "retains nothing" in deaf
