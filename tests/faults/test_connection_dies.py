"""The connection between ingester and broker is cut or falls silent, with the session kept and with it lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from support.proxy import Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    from faults.conftest import MakeRun
    from faults.settings import FaultSettings
    from support.kafka_broker import KafkaBroker
    from support.mosquitto import Mosquitto
    from support.plugin import KafkaFactory


def test_cut_under_load(kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings) -> None:
    """Reset at random moments, in the middle of packets and of acknowledgements; the session is kept."""
    with Proxy(broker.port2) as proxy:
        run = make_run(kafka, broker)
        ingester = run.mqtt_ingester(port=proxy.port)
        ingester.start()
        run.open_mqtt_fleet().begin()
        for _ in range(4 * settings.rounds):
            # It waits up to 30 s where one connection after the other breaks soon.
            wait_until(lambda: proxy.connections, timeout=60, what="the ingester's connection")
            run.wait(1.0)
            run.note(f"{proxy.cut()} connection cut")
        account = run.account()
        assert not account.lost, str(account)
        assert not account.wrong, str(account)
        assert not account.reordered, str(account)


# Of a broker that it has not met, ingestion takes three closes for a reason to try 3.1.1, and one more for a proof.
@pytest.mark.parametrize("plan", ["xxx", "xxx.x"])
def test_nobody_behind_the_balancer(
    kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings, plan: str
) -> None:
    """Connections are accepted and reset, with no answer to any CONNECT: no reason to take the broker for an old one,
    and to lose the ids that only MQTT 5 carries.
    """
    with Proxy(broker.port2) as proxy:
        run = make_run(kafka, broker)
        ingester = run.mqtt_ingester(port=proxy.port)
        ingester.start()
        run.open_mqtt_fleet(rate=500).begin()
        for _ in range(settings.rounds):
            run.wait(1.0)
            run.note(f"the connection is reset, and so are the next: {plan}")
            proxy.hang_up(plan)
            wait_until(lambda: len(proxy.plan) <= len(plan) - 3, timeout=60, what="the ingester to try so often")
            # One that stays on the connection that came through does not meet what is planned behind it.
            wait_until(ingester.is_ready, timeout=60, what="the ingester to be back")
            run.note("the ingester is back")
            run.wait(1.0)
        account = run.account()
        assert not account.lost, str(account)
        assert not account.wrong, str(account)
        assert not account.reordered, str(account)


def test_silent_under_load(kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings) -> None:
    """Nothing goes through, and nobody hears of it, until the keep-alive is over: 5 s here, 30 by default."""
    with Proxy(broker.port2) as proxy:
        run = make_run(kafka, broker)
        ingester = run.mqtt_ingester(port=proxy.port, MQTT_KEEPALIVE_SECONDS="5")
        ingester.start()
        run.open_mqtt_fleet().begin()
        run.wait(1.0)
        run.note("the connection is silent")
        proxy.silence()
        wait_until(lambda: not ingester.is_ready(), timeout=30, what="the ingester to notice the silence")
        run.note("the ingester has noticed")
        # Everything of the old connections is gone, as behind a router that has forgotten them.
        proxy.cut()
        proxy.speak()
        wait_until(ingester.is_ready, timeout=60, what="the ingester to be back")
        account = run.account()
        assert not account.lost, str(account)
        assert not account.wrong, str(account)


def test_the_session_is_lost(
    kafka_factory: KafkaFactory, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings
) -> None:
    """Given a window of messages in hand that Kafka has not taken, when the broker forgets the session, then they
    arrive all the same, and so does what comes once the ingester has subscribed again.
    """
    kafka = kafka_factory()
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    fleet = run.open_mqtt_fleet()
    for _ in range(settings.rounds):
        run.note("Kafka is frozen")
        kafka.pause()
        # As many as the broker hands out at a time, so that none of them waits in the session.
        fleet.publish(1000)
        wait_until(lambda: ingester.read_metric("iothub_ingestion_in_flight") == 1000, what="all of them in hand")
        run.note("the session is taken over and ended")
        _end_session(broker, ingester.name)
        wait_until(lambda: ingester.read_metric("iothub_ingestion_in_flight") == 0, what="the ingester to be out")
        wait_until(ingester.is_ready, what="the ingester to have subscribed again")
        fleet.publish(1000)
        run.note("Kafka goes on")
        kafka.resume()
        wait_until(lambda: run.count_records() >= fleet.sent, what="everything to be in Kafka")
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert not account.reordered, str(account)


def _end_session(broker: Mosquitto, client_id: str) -> None:
    """Connect in the session's name with a clean start, and leave: it ends with the connection."""
    thief = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5)
    thief.connect("127.0.0.1", broker.port2, clean_start=True)
    thief.loop_start()
    try:
        wait_until(thief.is_connected, what="the session to be taken over")
    finally:
        thief.disconnect()
        thief.loop_stop()
