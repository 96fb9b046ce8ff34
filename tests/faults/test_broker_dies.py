"""mosquitto dies: what it has acknowledged is on its disk, in our configuration, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.pipeline import MOSQUITTO, mosquitto_config
from support.waiting import wait_until

if TYPE_CHECKING:
    from faults.conftest import MakeRun, Run
    from faults.settings import FaultSettings
    from support.kafka_broker import KafkaBroker
    from support.mosquitto import Mosquitto
    from support.plugin import MosquittoFactory


FLUSH_SECONDS = 5.0
"""How often mosquitto's plugin writes where it is not told."""
TURN_SECONDS = 0.1
"""More than a turn of mosquitto's loop takes under load. It sends its PUBACKs within a turn and commits at the start of
the next one (docs/ingestion.md): only what it acknowledged in the turn in which it dies may go with it."""

Spans = list[tuple[float, float]]


def kill_and_start(run: Run, broker: Mosquitto, kills: int) -> Spans:
    """Kill mosquitto at random moments of the load, and start it again; return its last turns, in the run's seconds."""
    spans = []
    for _ in range(kills):
        run.wait(3.0)
        run.note("SIGKILL of mosquitto")
        killed = run.fleet.seconds
        broker.kill()
        # What it has sent may be read after its death, and nothing else comes before its next life.
        spans.append((killed - TURN_SECONDS, run.fleet.seconds))
        broker.start()
    return spans


def kill_with_a_full_session(run: Run, broker: Mosquitto, kills: int, *, not_before: float = 0.0) -> Spans:
    """Kill mosquitto under load while the ingester is away, as often as told; then let the ingester work it off.

    The first kill comes ``not_before`` that many seconds of load have gone by. Return mosquitto's last turns.
    """
    ingester = run.mqtt_ingester()
    ingester.start()
    assert ingester.stop() == 0
    run.open_mqtt_fleet(rate=20_000).begin()
    run.fleet.run_for(not_before)
    spans = kill_and_start(run, broker, kills)
    run.fleet.settle()
    ingester.start()
    return spans


def test_killed_under_load(kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings) -> None:
    """With the ingester at work: mosquitto is in the middle of both of its sides."""
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    run.open_mqtt_fleet().begin()
    spans = kill_and_start(run, broker, 2 * settings.rounds)
    account = run.account()
    assert not account.lost_outside(spans), str(account)
    assert not account.wrong, str(account)


def test_killed_with_a_full_session(
    kafka: KafkaBroker, broker: Mosquitto, make_run: MakeRun, settings: FaultSettings
) -> None:
    run = make_run(kafka, broker)
    spans = kill_with_a_full_session(run, broker, 2 * settings.rounds)
    account = run.account()
    assert not account.lost_outside(spans), str(account)
    assert not account.wrong, str(account)


def test_the_plugins_own_defaults_lose(
    kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, make_run: MakeRun, settings: FaultSettings
) -> None:
    """The same without ``plugin_opt_flush_period 0``: were nothing lost here, the test above would prove nothing."""
    broker = mosquitto_factory(mosquitto_config(flushes_at_once=False), minimum=MOSQUITTO)
    run = make_run(kafka, broker)
    # By then the session itself, and the first messages, have been written.
    spans = kill_with_a_full_session(run, broker, 1, not_before=FLUSH_SECONDS + 1)
    # What can't come shows by the end of what can: a while without anything, and the ingester is idle.
    account = run.account(patience=10)
    assert account.found, str(account)
    assert account.lost_outside(spans), str(account)
    assert not account.wrong, str(account)


def test_full_and_worked_off(kafka: KafkaBroker, mosquitto_factory: MosquittoFactory, make_run: MakeRun) -> None:
    """Its memory has a limit, a smaller one here. There it takes nothing more, and throws out who wants memory: the
    devices, and the ingester too while that has its whole window sent. All of it comes through nevertheless.
    """
    broker = mosquitto_factory(mosquitto_config(memory_mib=128), minimum=MOSQUITTO)
    run = make_run(kafka, broker)
    ingester = run.mqtt_ingester()
    ingester.start()
    assert ingester.stop() == 0
    fleet = run.open_mqtt_fleet(rate=50_000, size=20_000)
    fleet.begin()
    wait_until(lambda: fleet.is_held_up(3.0), timeout=120, what="the broker to be full")
    run.note("the broker is full")
    ingester.launch()
    wait_until(ingester.is_ready, timeout=30, what="the ingester to be back", hint=broker.process.log_tail)
    account = run.account()
    assert not account.lost, str(account)
    assert not account.wrong, str(account)
