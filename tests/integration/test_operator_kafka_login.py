"""A Kafka that wants to know who asks, and does not tell everybody everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from integration.operator_kafka import read
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until
from telemetry_operator.kafka.client import Kafka
from telemetry_operator.kafka.errors import LOGIN_FAILED, NOT_ALLOWED, KafkaAway, KafkaProblem
from telemetry_operator.kafka.facts import KafkaFacts, Reading
from telemetry_operator.kafka.settings import load_kafka_settings
from telemetry_operator.kafka.survey import Answers, Survey
from telemetry_operator.kafka.tail import Tail
from unit.operator.kafka.making import AT


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a listener that lets the operator in and allows it only what it is granted."""
    broker, address = KafkaBroker(tmp_path_factory.mktemp("guarded")), f"127.0.0.1:{free_port()}"
    settings = broker._properties
    for name in ("listeners", "advertised.listeners"):
        settings[name] += f",LOGIN://{address}"
    settings["listener.security.protocol.map"] += ",LOGIN:SASL_PLAINTEXT"
    settings["sasl.enabled.mechanisms"] = "PLAIN"
    settings["listener.name.login.plain.sasl.jaas.config"] = (
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_operator="open sesame";'
    )
    settings["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    settings["super.users"] = "User:ANONYMOUS"
    with broker:
        broker.create_topics(["seen", "hidden"], partitions=1)
        grant(broker.admin, ResourceType.TOPIC, "seen", AclOperation.READ)
        grant(broker.admin, ResourceType.GROUP, "allowed", AclOperation.READ)
        yield address


def grant(admin: AdminClient, kind: ResourceType, name: str, operation: AclOperation) -> None:
    literal, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    binding = AclBinding(kind, name, literal, "User:operator", "*", operation, allow)
    for future in admin.create_acls([binding], request_timeout=30).values():
        future.result()


def survey(address: str, password: str, *readings: Reading) -> Answers:
    settings = load_kafka_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": address,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": "operator",
            "KAFKA_SASL_PASSWORD": password,
        }
    )
    looking = Survey(Kafka(settings), Tail(settings), now=lambda: AT, clock=lambda: 0.0)
    return looking.run(readings)


def test_a_wrong_password_is_said_and_not_shown(guarded: str) -> None:
    with pytest.raises(KafkaAway, match="does not let the operator in") as raised:
        survey(guarded, "close sesame", read("allowed", "seen"))
    assert raised.value.reason == LOGIN_FAILED
    assert "sesame" not in str(raised.value)


def test_what_is_not_allowed_is_said_of_the_group_that_it_is_about(guarded: str) -> None:
    allowed, refused = read("allowed", "seen", "hidden", start_from="earliest"), read("refused", "seen")
    seen: dict[Reading, KafkaFacts | KafkaProblem] = {}

    def settled() -> bool:
        seen.update(survey(guarded, "open sesame", allowed, refused))
        facts = seen[allowed]
        return isinstance(facts, KafkaFacts) and facts.uncommitted == 0

    wait_until(settled, what="the group that it may ask about", hint=lambda: str(seen))
    facts, problem = seen[allowed], seen[refused]
    assert isinstance(facts, KafkaFacts)
    assert (facts.partitions, facts.missing_topics, facts.lag) == ({"seen": 1}, ("hidden",), 0)
    assert isinstance(problem, KafkaProblem)
    assert problem.reason == NOT_ALLOWED
    assert "about group refused" in str(problem)
