"""Replicas that share the subscription come, go and die: each one's share of the messages arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.waiting import wait_until

if TYPE_CHECKING:
    from faults.conftest import MakeRun, Run
    from faults.pipeline import Ingester
    from faults.settings import FaultSettings
    from support.kafka_broker import KafkaBroker
    from support.mosquitto import Mosquitto

REPLICAS = 3


def start_replicas(run: Run) -> list[Ingester]:
    replicas = [run.mqtt_ingester(ordinal, MQTT_SHARE_GROUP="ingestion") for ordinal in range(REPLICAS)]
    for replica in replicas:
        replica.launch()
    for replica in replicas:
        wait_until(replica.is_ready, timeout=60, what=f"{replica.name} to be ready", hint=replica.process.log_tail)
    return replicas


def test_three_to_one_and_back_under_load(
    kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings
) -> None:
    run = make_run(kafka, broker)
    replicas = start_replicas(run)
    run.open_mqtt_fleet().begin()
    for _ in range(settings.rounds):
        run.wait(1.0)
        # A StatefulSet takes the highest ordinal first, each once the one before is gone.
        for replica in reversed(replicas[1:]):
            run.note(f"SIGTERM of {replica.name}")
            assert replica.stop() == 0, replica.process.log_tail()
        run.wait(1.0)
        for replica in replicas[1:]:
            run.note(f"start of {replica.name}")
            replica.start()
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)


def test_one_of_three_is_killed_and_comes_back(
    kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings
) -> None:
    run = make_run(kafka, broker)
    replicas = start_replicas(run)
    run.open_mqtt_fleet().begin()
    for _ in range(2 * settings.rounds):
        run.wait(2.0)
        victim = run.chance.choice(replicas)
        run.note(f"SIGKILL of {victim.name}")
        victim.kill()
        run.wait(2.0)
        victim.launch()
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
