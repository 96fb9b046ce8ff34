"""A Kafka that wants to know who asks, and does not tell everybody everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from integration.operator_kafka import read, send_letters
from support.certificates import Certificates
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until
from telemetry_operator.kafka.client import Kafka
from telemetry_operator.kafka.errors import LOGIN_FAILED, NOT_ALLOWED, KafkaAway, KafkaProblem
from telemetry_operator.kafka.facts import KafkaFacts, Reading
from telemetry_operator.kafka.offsets import reset_offsets
from telemetry_operator.kafka.settings import KafkaSettings, load_kafka_settings
from telemetry_operator.kafka.survey import Answers, Survey
from telemetry_operator.kafka.tail import Tail
from unit.operator.kafka.making import AT

OPERATOR = {"KAFKA_SASL_USERNAME": "operator", "KAFKA_SASL_PASSWORD": "open sesame"}


@dataclass(frozen=True)
class Guarded:
    """A broker that lets the operator in through three listeners, and allows it only what it is granted."""

    broker: KafkaBroker
    certificates: Certificates
    plain: str
    """SASL without TLS."""
    scram: str
    """SASL over TLS: SCRAM."""
    mutual: str
    """TLS with the client's certificate, and no password."""

    def reach(self, way: str, **changes: str) -> KafkaSettings:
        """Return the operator's settings for a listener, with ``changes`` laid over; an empty one takes it out."""
        authority = {"KAFKA_SSL_CA_LOCATION": self.certificates.path("ca.pem")}
        environment = {
            "plain": {
                "KAFKA_BOOTSTRAP_SERVERS": self.plain,
                "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "KAFKA_SASL_MECHANISM": "PLAIN",
                **OPERATOR,
            },
            "scram": {
                "KAFKA_BOOTSTRAP_SERVERS": self.scram,
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
                **OPERATOR,
                **authority,
            },
            "mutual": {
                "KAFKA_BOOTSTRAP_SERVERS": self.mutual,
                "KAFKA_SECURITY_PROTOCOL": "SSL",
                "KAFKA_SSL_CERTIFICATE_LOCATION": self.certificates.path("client.pem"),
                "KAFKA_SSL_KEY_LOCATION": self.certificates.path("client.key"),
                **authority,
            },
        }[way]
        return load_kafka_settings(environment | changes)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    broker, certificates = KafkaBroker(folder), Certificates(tmp_path_factory.mktemp("certificates"))
    keys = folder / "server.pem"
    keys.write_text(
        Path(certificates.path("server.key")).read_text() + Path(certificates.path("server.pem")).read_text()
    )
    settings, addresses = broker._properties, {}
    for name, protocol in {"PLAIN": "SASL_PLAINTEXT", "SCRAM": "SASL_SSL", "MUTUAL": "SSL"}.items():
        addresses[name.lower()] = f"127.0.0.1:{free_port()}"
        for listeners in ("listeners", "advertised.listeners"):
            settings[listeners] += f",{name}://{addresses[name.lower()]}"
        settings["listener.security.protocol.map"] += f",{name}:{protocol}"
    login = "org.apache.kafka.common.security"
    settings |= {
        "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.plain.plain.sasl.jaas.config": (
            f'{login}.plain.PlainLoginModule required user_operator="open sesame";'
        ),
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.scram.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "listener.name.mutual.ssl.client.auth": "required",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates.path("ca.pem"),
        # Whom a certificate names is the same user as with a password.
        "ssl.principal.mapping.rules": "RULE:^CN=client$/operator/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with broker:
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            user = UserScramCredentialUpsertion("operator", ScramCredentialInfo(mechanism, 4096), b"open sesame")
            broker.admin.alter_user_scram_credentials([user])["operator"].result(30)
        broker.create_topics(["seen", "hidden", "dead"], partitions=1)
        for topic in ("seen", "dead"):
            grant(broker.admin, ResourceType.TOPIC, topic, AclOperation.READ)
        grant(broker.admin, ResourceType.GROUP, "allowed", AclOperation.READ, pattern=ResourcePatternType.PREFIXED)
        send_letters(broker, "dead", "allowed-scram", 2)
        yield Guarded(broker, certificates, **addresses)


def grant(
    admin: AdminClient,
    kind: ResourceType,
    name: str,
    operation: AclOperation,
    *,
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
) -> None:
    binding = AclBinding(kind, name, pattern, "User:operator", "*", operation, AclPermissionType.ALLOW)
    for future in admin.create_acls([binding], request_timeout=30).values():
        future.result()


def survey(settings: KafkaSettings, *readings: Reading) -> Answers:
    looking = Survey(Kafka(settings), Tail(settings), now=lambda: AT, clock=lambda: 0.0)
    return looking.run(readings)


def wait_for_facts(settings: KafkaSettings, *readings: Reading) -> Answers:
    """Return the answers once the first reading's group has been given its starting offsets."""
    seen: dict[Reading, KafkaFacts | KafkaProblem] = {}

    def settled() -> bool:
        seen.update(survey(settings, *readings))
        facts = seen[readings[0]]
        return isinstance(facts, KafkaFacts) and facts.uncommitted == 0

    wait_until(settled, what="the group that it may ask about", hint=lambda: str(seen))
    return seen


@pytest.mark.parametrize(
    ("way", "changes"),
    [
        ("plain", {}),
        ("scram", {}),
        ("scram", {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}),
        ("mutual", {}),
    ],
    ids=["PLAIN", "SCRAM-SHA-512 over TLS", "SCRAM-SHA-256 over TLS", "a certificate"],
)
def test_it_gets_in_and_does_all_that_it_has_to(guarded: Guarded, way: str, changes: dict[str, str]) -> None:
    """Each client of its own gets in: that for groups and offsets, and that for dead letters."""
    settings = guarded.reach(way, **changes)
    reading = read("allowed-scram", "seen", dead_letter_topic="dead", start_from="earliest")
    facts = wait_for_facts(settings, reading)[reading]
    assert isinstance(facts, KafkaFacts)
    assert facts.lag == 0
    assert facts.dead_letters is not None
    assert facts.dead_letters.count == 2
    assert reset_offsets(Kafka(settings), "allowed-scram", ["seen"], "earliest", way).moved == 0


@pytest.mark.parametrize(
    ("way", "changes", "words"),
    [
        ("plain", {"KAFKA_SASL_PASSWORD": "close sesame"}, "does not let the operator in"),
        ("scram", {"KAFKA_SASL_PASSWORD": "close sesame"}, "does not let the operator in"),
        ("scram", {"KAFKA_SASL_USERNAME": "nobody"}, "does not let the operator in"),
        ("scram", {"KAFKA_SSL_CA_LOCATION": ""}, "certificate verify failed"),
        ("mutual", {"KAFKA_SSL_CERTIFICATE_LOCATION": "", "KAFKA_SSL_KEY_LOCATION": ""}, "certificate"),
    ],
    ids=["a wrong password", "a wrong password over TLS", "a stranger", "an unknown authority", "no certificate"],
)
def test_who_does_not_get_in_is_told_why_and_shown_no_secret(
    guarded: Guarded, way: str, changes: dict[str, str], words: str
) -> None:
    with pytest.raises(KafkaAway, match=words) as raised:
        survey(guarded.reach(way, **changes), read("allowed", "seen"))
    assert raised.value.reason == LOGIN_FAILED
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("way", ["plain", "scram", "mutual"])
def test_what_is_not_allowed_is_said_of_the_group_that_it_is_about(guarded: Guarded, way: str) -> None:
    allowed, refused = read("allowed", "seen", "hidden", start_from="earliest"), read("refused", "seen")
    seen = wait_for_facts(guarded.reach(way), allowed, refused)
    facts, problem = seen[allowed], seen[refused]
    assert isinstance(facts, KafkaFacts)
    assert (facts.partitions, facts.missing_topics, facts.lag) == ({"seen": 1}, ("hidden",), 0)
    assert isinstance(problem, KafkaProblem)
    assert problem.reason == NOT_ALLOWED
    assert "about group refused" in str(problem)
    with pytest.raises(KafkaProblem, match="about group refused") as raised:
        reset_offsets(Kafka(guarded.reach(way)), "refused", ["seen"], "earliest", "r1")
    assert not raised.value.may_pass
