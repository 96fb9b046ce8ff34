"""The devices' publisher against a real broker: what it reports as acknowledged, the broker has."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from integration.iothub.subscriber import Subscriber, subscribing
from iothub.devices.fleet import Fleet
from iothub.devices.message import Message, Planned
from iothub.devices.publisher import Publisher
from iothub.errors import Unavailable
from iothub.target import MqttTarget
from support.mosquitto import OPEN_CONFIG, Mosquitto
from support.plugin import MosquittoFactory
from support.ports import free_port
from support.waiting import wait_until

UNLIMITED = OPEN_CONFIG.replace("max_inflight_messages 1000", "max_inflight_messages 60000")
NOW = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)


def target_of(broker: Mosquitto, *, version: int = 5, username: str | None = None, password: str = "") -> MqttTarget:
    secret = SecretStr(password) if username else None
    return MqttTarget(broker.host, broker.port, version, username, secret)


def plan(count: int, *, rate: float = 5_000, devices: int = 25, run: str = "0") -> list[Planned]:
    return list(islice(endless(rate=rate, devices=devices, run=run), count))


def endless(*, rate: float, devices: int = 25, run: str = "0") -> Iterator[Planned]:
    return Fleet(devices, damaged=0.1, run=run).plan(rate, NOW)


def _has(messages: list[Message], count: int) -> bool:
    return len(messages) > count


def _has_all(subscriber: Subscriber, messages: list[Message]) -> bool:
    return subscriber.ids.keys() >= {message.id for message in tuple(messages)}


@contextmanager
def running(publisher: Publisher, planned: Iterable[Planned]) -> Iterator[threading.Thread]:
    """Run the publisher on a thread; at the end it is stopped."""
    thread = threading.Thread(target=publisher.run, args=(planned,))
    thread.start()
    try:
        yield thread
    finally:
        publisher.stop()
        thread.join(30)
        assert not thread.is_alive()


class TestAcknowledgements:
    @pytest.mark.parametrize("version", [5, 4])
    def test_all_that_is_sent_arrives_each_device_in_order(
        self, mosquitto_factory: MosquittoFactory, version: int
    ) -> None:
        broker = mosquitto_factory(UNLIMITED)
        acknowledged: list[Message] = []
        sent: list[Message] = []
        planned = plan(3_000, run=f"order{version}")
        with subscribing(broker) as subscriber:
            publisher = Publisher(
                target_of(broker, version=version), on_sent=sent.append, on_acknowledged=acknowledged.append
            )
            publisher.run(planned)
            ids = {message.id for _, message in planned}
            wait_until(lambda: ids <= set(subscriber.ids), what="every message")
        assert [message.id for message in sent] == [message.id for _, message in planned]
        assert {message.id for message in acknowledged} == ids
        assert (publisher.counts.sent, publisher.counts.acknowledged, publisher.counts.unanswered) == (3_000, 3_000, 0)
        assert publisher.counts.damaged.total() == 300
        for device in {message.device for message in sent}:
            topic = f"telemetry/{device}"
            arrived = [payload for name, payload in subscriber.payloads if name == topic]
            assert arrived == [message.payload for message in sent if message.topic == topic]

    def test_a_broker_without_a_subscriber_is_told_apart(self, mosquitto_factory: MosquittoFactory) -> None:
        publisher = Publisher(target_of(mosquitto_factory()))
        publisher.run(plan(50))
        assert (publisher.counts.acknowledged, publisher.counts.unheard) == (50, 50)

    def test_a_refusal_is_no_acknowledgement(self, tmp_path: Path) -> None:
        (tmp_path / "acl").write_text("topic write telemetry/DEV-0001\n")
        acknowledged: list[Message] = []
        with Mosquitto(tmp_path, OPEN_CONFIG + "acl_file {folder}/acl\n") as broker:
            publisher = Publisher(target_of(broker), on_acknowledged=acknowledged.append)
            # Few: mosquitto 2.0 ends the connection at each.
            publisher.run(plan(9, devices=3))
        counts = publisher.counts
        assert (counts.sent, counts.acknowledged, counts.refused, counts.unanswered) == (9, 3, 6, 0)
        assert counts.refusals == {"0x87": 6}
        assert {message.device for message in acknowledged} == {"DEV-0001"}


class TestBrokersThatGo:
    def test_killed_in_mid_stream_and_back_every_message_gets_there(self, mosquitto_factory: MosquittoFactory) -> None:
        broker = mosquitto_factory(UNLIMITED)
        acknowledged: list[Message] = []
        planned = plan(6_000, rate=2_000)
        with subscribing(broker) as subscriber:
            # The subscriber's session is in the snapshot that the killed broker leaves.
            wait_until((broker.data / "mosquitto.db").exists, what="the broker's snapshot")
            publisher = Publisher(target_of(broker), on_acknowledged=acknowledged.append)
            with running(publisher, planned) as thread:
                for point in (1_000, 3_000):
                    wait_until(partial(_has, acknowledged, point), what=f"{point} acknowledgements")
                    # What waits for a subscriber that is away, a killed mosquitto 2.0 may lose: not our matter here.
                    wait_until(partial(_has_all, subscriber, acknowledged), interval=0, what="the subscriber")
                    broker.kill()
                    broker.start()
                thread.join(60)
                assert not thread.is_alive()
            ids = {message.id for _, message in planned}
            wait_until(lambda: ids <= set(subscriber.ids), timeout=10, what="every message")
        assert {message.id for message in acknowledged} == ids
        assert (publisher.counts.sent, publisher.counts.acknowledged) == (6_000, 6_000)
        assert publisher.problem is None
        # Repeated messages aside, a device's order holds.
        for device in {message.device for _, message in planned}:
            said = [payload for topic, payload in subscriber.payloads if topic == f"telemetry/{device}"]
            sent = [message.payload for _, message in planned if message.device == device]
            assert list(dict.fromkeys(said)) == sent

    def test_killed_for_good_what_is_reported_as_acknowledged_was(self, mosquitto_factory: MosquittoFactory) -> None:
        broker = mosquitto_factory(UNLIMITED)
        acknowledged: list[Message] = []
        with subscribing(broker) as subscriber:
            publisher = Publisher(target_of(broker), on_acknowledged=acknowledged.append, last_answers_seconds=0.5)
            with running(publisher, endless(rate=3_000)):
                wait_until(lambda: len(acknowledged) > 1_500, what="acknowledgements")
                broker.pause()
                # Frozen: what is sent from here on has no answer, and the window fills.
                wait_until(lambda: publisher.in_flight >= 100, what="messages without an answer")
                broker.kill()
                wait_until(lambda: publisher.is_away, what="the connection to break")
            wait_until(partial(_has_all, subscriber, acknowledged), timeout=5, what="what was acknowledged")
        counts = publisher.counts
        assert counts.unanswered >= 100
        assert counts.sent == counts.acknowledged + counts.unanswered

    def test_one_that_stays_away_ends_it_with_a_sentence(self, mosquitto_factory: MosquittoFactory) -> None:
        broker = mosquitto_factory()
        publisher = Publisher(target_of(broker), give_up_seconds=1, last_answers_seconds=0.5)
        with running(publisher, endless(rate=1_000)) as thread:
            wait_until(lambda: publisher.counts.acknowledged > 100, what="acknowledgements")
            broker.kill()
            thread.join(20)
            assert not thread.is_alive()
        assert publisher.problem == f"the MQTT broker at 127.0.0.1:{broker.port} has taken nothing for 1 s"


class TestStop:
    def test_sends_nothing_more_and_waits_for_the_last_answers(self, mosquitto: Mosquitto) -> None:
        publisher = Publisher(target_of(mosquitto))
        with running(publisher, endless(rate=1_000)) as thread:
            wait_until(lambda: publisher.counts.acknowledged > 200, what="acknowledgements")
            publisher.stop()
            thread.join(5)
            assert not thread.is_alive()
        assert publisher.counts.sent == publisher.counts.acknowledged

    def test_the_rate_is_kept_without_drift(self, mosquitto: Mosquitto) -> None:
        publisher = Publisher(target_of(mosquitto))
        began = time.monotonic()
        publisher.run(plan(1_001, rate=500))
        assert time.monotonic() - began == pytest.approx(2.0, abs=0.5)


class TestConnecting:
    def test_nobody_there(self) -> None:
        port = free_port()
        with pytest.raises(Unavailable, match=rf"no MQTT broker answers at 127.0.0.1:{port} .*--mqtt-port"):
            Publisher(MqttTarget("127.0.0.1", port)).connect()

    def test_a_stranger_is_not_let_in_and_a_user_is(self, mosquitto_factory: MosquittoFactory) -> None:
        # Mosquitto reads clear passwords too, where a line has no hash: user and an empty password let nobody in.
        broker = mosquitto_factory(OPEN_CONFIG.replace("allow_anonymous true", "allow_anonymous false"))
        with pytest.raises(Unavailable, match=r"refuses the connection: Not authorized; .*MQTT_PASSWORD"):
            Publisher(target_of(broker)).connect()
        with pytest.raises(Unavailable, match="refuses the connection"):
            Publisher(target_of(broker, username="device", password="wrong")).connect()


def test_payloads_are_sent_as_they_are(mosquitto: Mosquitto) -> None:
    planned = plan(200, run="bytes")
    with subscribing(mosquitto) as subscriber:
        Publisher(target_of(mosquitto)).run(planned)
        wait_until(lambda: len(subscriber.payloads) >= 200, what="200 messages")
    good = [message for _, message in planned if message.damage is None]
    assert {message.payload for _, message in planned} == {payload for _, payload in subscriber.payloads}
    assert all(orjson.loads(message.payload)["message"].startswith("bytes-") for message in good)
