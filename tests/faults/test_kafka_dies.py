"""Kafka is away, dead, slow or full: nothing is acknowledged to the broker meanwhile, and memory has a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from faults.disk import fill, small_disk
from support.kafka_broker import KafkaBroker
from support.proxy import Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from faults.conftest import MakeRun
    from faults.settings import FaultSettings
    from support.mosquitto import Mosquitto
    from support.plugin import KafkaFactory

FLOOD = 256 * 1024 * 1024
MEMORY_MIB = 256
"""What an ingester may take. The chart lets it have 384: beyond that the kernel would end it."""


@pytest.mark.parametrize("way", ["stop", "kill", "pause"])
def test_kafka_away(
    kafka_factory: KafkaFactory, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings, way: str
) -> None:
    """``FAULT_SECONDS`` at a time; the devices go on publishing."""
    kafka = kafka_factory()
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    run.open_mqtt_fleet().begin()
    for _ in range(settings.rounds):
        run.wait(2.0)
        run.note(f"Kafka: {way}")
        getattr(kafka, way)()
        run.fleet.run_for(settings.seconds)
        run.note("Kafka is back")
        kafka.resume() if way == "pause" else kafka.start()
        run.wait(2.0)
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert not account.reordered, str(account)
    assert ingester.process.is_running, ingester.process.log_tail()


def test_a_flood_while_kafka_is_slow(kafka_factory: KafkaFactory, broker: Mosquitto, make_run: MakeRun) -> None:
    """256 MB in messages of 100 kB, faster than Kafka takes them: they wait at the broker, not in the ingester."""
    with Proxy() as proxy:
        kafka = kafka_factory(properties={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"})
        proxy.upstream = kafka.port
        run = make_run(kafka, broker)
        # What the fleet sends could be compressed to nothing, and would be no flood.
        ingester = run.mqtt_ingester(KAFKA_COMPRESSION_TYPE="none")
        ingester.start()
        fleet = run.open_mqtt_fleet(rate=50_000, size=100_000, window=50)
        proxy.bytes_per_second = 4_000_000
        fleet.begin()
        most = 0.0

        def sent_all() -> bool:
            nonlocal most
            most = max(most, ingester.measure_memory())
            return fleet.sent * fleet.recipe.size >= FLOOD

        wait_until(sent_all, timeout=150, what="256 MB to be sent")
        fleet.settle()
        run.note(f"the flood is over; the ingester's memory had at most {most:.0f} MiB")
        waiting = fleet.sent - run.count_records()
        assert waiting > 0, "Kafka was as fast as the flood, so this run shows nothing"
        proxy.bytes_per_second = None
        account = run.account()
        assert not account.lost, str(account)
        assert not account.wrong, str(account)
        assert most < MEMORY_MIB, str(account)


def test_kafkas_disk_is_full(tmp_path: Path, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings) -> None:
    """Kafka ends itself when it can't write. Given room and started again, it gets everything."""
    with small_disk(tmp_path / "disk", 64 + 16 * settings.rounds) as disk:
        kafka = KafkaBroker(disk / "kafka")
        kafka.process.log = tmp_path / "kafka.log"
        with kafka:
            run = make_run(kafka, broker)
            ingester = run.mqtt_ingester(KAFKA_COMPRESSION_TYPE="none")
            ingester.start()
            run.open_mqtt_fleet(rate=500, size=2000).begin()
            for _ in range(settings.rounds):
                run.wait(1.0)
                run.note("Kafka's disk is full but for 2 MiB")
                fill(disk / "filler", leave=2 * 1024 * 1024)
                wait_until(lambda: not kafka.process.is_running, timeout=60, what="Kafka to end itself")
                kafka.kill()  # nothing is left but its end of our pipe
                run.note("Kafka has ended itself")
                run.fleet.run_for(settings.seconds / 3)
                (disk / "filler").unlink()
                kafka.start()
            account = run.account()
            assert not account.lost, str(account)
            assert not account.wrong, str(account)
            assert not account.reordered, str(account)


def test_a_window_of_large_messages_while_kafka_is_frozen(
    kafka_factory: KafkaFactory, broker: Mosquitto, make_run: MakeRun
) -> None:
    """The window counts messages, memory has bytes: 200 messages of 1 MB are more than an ingester should hold.

    They, and a copy of each on its way out, are within the broker's own limit.
    """
    kafka = kafka_factory()
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    kafka.pause()
    fleet = run.open_mqtt_fleet(rate=200, size=1_000_000, window=20)
    fleet.publish(200)
    run.note("everything waits at the broker")
    most = 0.0

    def measure() -> float:
        nonlocal most
        most = max(most, ingester.measure_memory())
        return most

    until = fleet.seconds + 5
    wait_until(lambda: measure() and fleet.seconds > until, what="the window to fill")
    kafka.resume()
    run.note(f"Kafka goes on; the ingester's memory had at most {most:.0f} MiB")
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert most < MEMORY_MIB, str(account)
