"""Which version of MQTT the next connection speaks: 5, unless the broker shows that it does not know it."""

from __future__ import annotations

import pytest

from ingestion.protocol import MQTT_3_1_1, MQTT_5, ProtocolChoice


@pytest.fixture
def choice() -> ProtocolChoice:
    return ProtocolChoice("auto")


def test_a_refusal_is_believed_at_once_and_for_one_connection(choice: ProtocolChoice) -> None:
    assert choice.version == MQTT_5
    choice.note_refusal()
    assert choice.version == MQTT_3_1_1
    assert choice.note_acceptance()
    assert choice.version == MQTT_3_1_1
    choice.note_end()
    assert choice.version == MQTT_5


def test_a_broker_that_restarts_is_spoken_to_as_before(choice: ProtocolChoice) -> None:
    """Given a broker that is killed in the middle of a CONNECT, each time, and not there in between."""
    for _ in range(20):
        choice.note_close()
        choice.note_unreachable()
        assert choice.version == MQTT_5


def close_three_times(choice: ProtocolChoice) -> None:
    for _ in range(2):
        choice.note_close()
        assert choice.version == MQTT_5
    choice.note_close()
    assert choice.version == MQTT_3_1_1


def test_a_broker_that_closes_is_tried_with_the_other_version_and_then_proven(choice: ProtocolChoice) -> None:
    close_three_times(choice)
    # It lets 3.1.1 in: once more with 5, before that is believed
    assert not choice.note_acceptance()
    assert choice.version == MQTT_5
    choice.note_end()  # our own leaving may be told or not
    close_three_times(choice)
    assert not choice.note_acceptance()
    choice.note_close()
    assert choice.version == MQTT_3_1_1
    assert choice.note_acceptance()


def test_a_proxy_whose_broker_comes_back_meanwhile_ends_with_5(choice: ProtocolChoice) -> None:
    close_three_times(choice)
    assert not choice.note_acceptance()
    assert choice.note_acceptance()
    assert choice.version == MQTT_5
    choice.note_end()
    choice.note_close()
    assert choice.version == MQTT_5


def test_a_broker_that_closes_on_both_is_tried_with_5_again(choice: ProtocolChoice) -> None:
    for _ in range(3):
        close_three_times(choice)
        choice.note_close()
        assert choice.version == MQTT_5


@pytest.mark.parametrize(("protocol", "version"), [("5", MQTT_5), ("3.1.1", MQTT_3_1_1)])
def test_a_version_that_was_named_stays(protocol: str, version: int) -> None:
    choice = ProtocolChoice(protocol)  # type: ignore[arg-type]
    for _ in range(5):
        choice.note_refusal()
        choice.note_close()
        assert choice.version == version
    assert choice.note_acceptance()
    choice.note_end()
    choice.note_unreachable()
    assert choice.version == version


def test_once_5_was_spoken_closes_are_trouble_on_the_way(choice: ProtocolChoice) -> None:
    """Given a balancer that resets every connection for a while, in front of a broker that speaks 5."""
    assert choice.note_acceptance()
    choice.note_end()
    for _ in range(20):
        choice.note_close()
        assert choice.version == MQTT_5
    # A broker that says so itself is still believed.
    choice.note_refusal()
    assert choice.version == MQTT_3_1_1
