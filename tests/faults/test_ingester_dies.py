"""The ingester dies, or is away: the session at the broker keeps what it has not acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.waiting import wait_until

if TYPE_CHECKING:
    from faults.conftest import MakeRun, Run
    from faults.settings import FaultSettings
    from support.kafka_broker import KafkaBroker
    from support.mosquitto import Mosquitto


def test_killed_at_random_moments_under_load(
    kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings
) -> None:
    """Also while it starts: the moments are counted from its launch."""
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    run.open_mqtt_fleet().begin()
    for _ in range(3 * settings.rounds):
        run.wait(3.0)
        run.note("SIGKILL of the ingester")
        ingester.kill()
        run.wait(0.5)
        ingester.launch()
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert not account.reordered, str(account)


def test_away_while_50_000_messages_queue_up(
    kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings
) -> None:
    """And killed while it works them off."""
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    assert ingester.stop() == 0
    run.open_mqtt_fleet(rate=50_000).publish(50_000)
    kills = 2 * settings.rounds
    for kill in range(1, kills + 1):
        ingester.launch()
        _wait_for_records(run, 45_000 * kill // (kills + 1))
        run.note("SIGKILL of the ingester")
        ingester.kill()
    ingester.start()
    account = run.account()
    assert len(account.acknowledged) == 50_000
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert not account.reordered, str(account)


def _wait_for_records(run: Run, count: int) -> None:
    wait_until(lambda: run.count_records() >= count, what=f"{count} records in Kafka")
