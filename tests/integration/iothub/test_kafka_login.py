"""A Kafka that wants a password: the `KAFKA_*` variables hold for the commands too, and a wrong one is said."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from integration.iothub.kafka_command import iothub
from integration_helpers import send
from support.kafka_broker import KafkaBroker
from support.ports import free_port


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a listener that lets alice in, of a broker that has one for the tests too."""
    broker, address = KafkaBroker(tmp_path_factory.mktemp("guarded")), f"127.0.0.1:{free_port()}"
    settings = broker._properties
    for name in ("listeners", "advertised.listeners"):
        settings[name] += f",LOGIN://{address}"
    settings["listener.security.protocol.map"] += ",LOGIN:SASL_PLAINTEXT"
    settings["sasl.enabled.mechanisms"] = "PLAIN"
    settings["listener.name.login.plain.sasl.jaas.config"] = (
        'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="open sesame";'
    )
    with broker:
        broker.create_topics(["telemetry.raw"], partitions=1)
        send(broker, "telemetry.raw", [b"1"])
        yield address


@pytest.fixture
def alice(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "alice")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "open sesame")
    return monkeypatch


def test_the_variables_let_a_person_in(guarded: str, alice: pytest.MonkeyPatch) -> None:
    assert iothub("topics", kafka=guarded).rows[0][:4] == ["telemetry.raw", "1", "1", "1"]
    assert "  1\n" in iothub("tail", "telemetry.raw", "--no-follow", kafka=guarded).out


@pytest.mark.parametrize("command", [("topics",), ("lag",), ("tail", "telemetry.raw"), ("dlq", "ls")], ids=" ".join)
def test_a_wrong_password_is_said_in_seconds(guarded: str, alice: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    alice.setenv("KAFKA_SASL_PASSWORD", "close sesame")
    began = time.monotonic()
    answer = iothub(*command, kafka=guarded)
    assert answer.sentence.startswith(f"Kafka at {guarded} does not let us in: ")
    assert answer.sentence.endswith("; look at the KAFKA_* variables")
    assert "sesame" not in answer.err
    assert time.monotonic() - began < 8


def test_half_of_a_login_is_said_before_anything_is_asked(guarded: str, alice: pytest.MonkeyPatch) -> None:
    alice.delenv("KAFKA_SASL_PASSWORD")
    assert "it needs KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD" in (
        iothub("topics", kafka=guarded).sentence
    )
