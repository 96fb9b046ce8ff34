"""HTTP ingestion dies, or has no Kafka: only a 202 is a promise, and a device keeps what it has none for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.ports import free_port

if TYPE_CHECKING:
    from faults.conftest import MakeRun
    from faults.settings import FaultSettings
    from support.kafka_broker import KafkaBroker
    from support.plugin import KafkaFactory


def test_http_killed_at_random_moments_under_load(
    kafka: KafkaBroker, make_run: MakeRun, settings: FaultSettings
) -> None:
    run = make_run(kafka)
    ingester = run.http_ingester(port := free_port())
    ingester.start()
    fleet = run.open_http_fleet(port)
    fleet.begin()
    for _ in range(2 * settings.rounds):
        run.wait(3.0)
        run.note("SIGKILL of the ingester")
        ingester.kill()
        run.wait(0.5)
        ingester.launch()
    account = run.account()
    assert fleet.failures, "no request has met a dead server, so this run shows nothing"
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert not account.reordered, str(account)


@pytest.mark.parametrize("way", ["stop", "kill", "pause"])
def test_http_while_kafka_is_away(
    kafka_factory: KafkaFactory, make_run: MakeRun, settings: FaultSettings, way: str
) -> None:
    """Longer than a request waits for Kafka: 503, and the device comes again."""
    kafka = kafka_factory()
    run = make_run(kafka)
    ingester = run.http_ingester(port := free_port(), INGESTION_ACK_TIMEOUT_SECONDS=str(settings.seconds / 3))
    ingester.start()
    fleet = run.open_http_fleet(port)
    fleet.begin()
    for _ in range(settings.rounds):
        run.wait(2.0)
        run.note(f"Kafka: {way}")
        getattr(kafka, way)()
        before = fleet.failures
        run.fleet.run_for(settings.seconds)
        assert fleet.failures > before, "the ingester has answered 202 without a Kafka"
        run.note("Kafka is back")
        kafka.resume() if way == "pause" else kafka.start()
        run.wait(2.0)
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
    assert not account.reordered, str(account)
    assert ingester.process.is_running, ingester.process.log_tail()
