"""What the fault tests share: the settings, mosquitto as the hub has it, and the run, which keeps the account."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from faults.http_fleet import HttpFleet
from faults.ledger import Account, draw_up
from faults.mqtt_fleet import WINDOW, MqttFleet
from faults.pipeline import MOSQUITTO, Ingester, mosquitto_config
from faults.reader import count_records, read_arrivals
from faults.settings import FaultSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faults.fleet import Fleet
    from support.kafka_broker import KafkaBroker
    from support.mosquitto import Mosquitto
    from support.plugin import MosquittoFactory

__all__ = ["MakeRun", "Run"]

SETTINGS = FaultSettings.read()
PATIENCE = 45.0
"""Seconds without a message that was missing, after which it counts as lost: longer than any pause of a client's."""
ACCOUNTS: list[tuple[str, float, Account]] = []


@dataclass
class Run:
    """One run of a scenario: its processes, what has happened, and its account at the end."""

    name: str
    kafka: KafkaBroker
    broker: Mosquitto | None
    topics: dict[str, str]
    folder: Path
    settings: FaultSettings
    stack: ExitStack
    chance: random.Random
    started: float = field(default_factory=time.monotonic)
    events: list[tuple[float, str]] = field(default_factory=list)
    _fleet: Fleet | None = None

    @property
    def fleet(self) -> Fleet:
        """The devices."""
        assert self._fleet is not None, "no fleet was opened"
        return self._fleet

    def open_mqtt_fleet(self, *, rate: float = 2500.0, size: int = 290, window: int = WINDOW) -> MqttFleet:
        """Make the devices. They send nothing yet."""
        assert self.broker is not None
        fleet = self.stack.enter_context(MqttFleet(self.broker.port, rate=rate, size=size, window=window))
        self._fleet = fleet
        return fleet

    def open_http_fleet(self, port: int) -> HttpFleet:
        """Make devices that post to ``port``. They send nothing yet."""
        fleet = self.stack.enter_context(HttpFleet(port))
        self._fleet = fleet
        return fleet

    def mqtt_ingester(self, ordinal: int = 0, *, port: int | None = None, **environment: str) -> Ingester:
        """Return a replica that is not started yet; it is ended with the run. ``port`` is a proxy's to the broker."""
        assert self.broker is not None
        return self._ingester(
            f"ingestion-{ordinal}",
            "ingestion.mqtt",
            MQTT_HOST="127.0.0.1",
            MQTT_PORT=str(port or self.broker.port2),
            MQTT_CLIENT_ID=f"ingestion-{ordinal}",
            **environment,
        )

    def http_ingester(self, port: int, **environment: str) -> Ingester:
        """Return an HTTP ingester for devices on ``port``, not started yet; it is ended with the run."""
        return self._ingester("ingestion-http", "ingestion.http", INGESTION_HTTP_PORT=str(port), **environment)

    def _ingester(self, name: str, module: str, **environment: str) -> Ingester:
        kafka = self.kafka.bootstrap_servers
        made = Ingester(self.folder, name, module, kafka=kafka, topics=self.topics, **environment)
        self.stack.callback(made.kill)
        return made

    def count_records(self) -> int:
        """Return how many records the raw topic has got so far."""
        return count_records(self.kafka.bootstrap_servers, self.topics["raw"])

    def note(self, event: str) -> None:
        """Remember what is done, for whoever reads the account."""
        self.events.append((self.fleet.seconds, event))

    def wait(self, most: float) -> None:
        """Let a random time up to ``most`` seconds of the load go by."""
        self.fleet.run_for(self.chance.uniform(0, most))

    def account(self, *, patience: float = PATIENCE) -> Account:
        """End the load, wait until what was acknowledged is in the topic, and return what the run comes to."""
        self.fleet.settle()
        self.note("the load is over")
        arrivals = read_arrivals(
            self.kafka.bootstrap_servers, self.topics["raw"], self.fleet.acknowledged, patience=patience
        )
        account = draw_up(self.fleet.acknowledged, arrivals, recipe=self.fleet.recipe, events=self.events)
        ACCOUNTS.append((self.name, time.monotonic() - self.started, account))
        return account


class MakeRun(Protocol):
    """Begins a run with topics of its own; over HTTP without a mosquitto."""

    def __call__(self, kafka: KafkaBroker, broker: Mosquitto | None = None) -> Run: ...


@pytest.fixture
def settings() -> FaultSettings:
    return SETTINGS


@pytest.fixture
def broker(mosquitto_factory: MosquittoFactory) -> Mosquitto:
    """A mosquitto of this test's own, as the hub configures it."""
    return mosquitto_factory(mosquitto_config(), minimum=MOSQUITTO)


@pytest.fixture
def make_run(
    request: pytest.FixtureRequest, tmp_path: Path, unique: Callable[[str], str], settings: FaultSettings
) -> Iterator[MakeRun]:
    """Begin runs; what belongs to them ends with the test."""
    with ExitStack() as stack:

        def make(kafka: KafkaBroker, broker: Mosquitto | None = None) -> Run:
            topics = {"raw": unique("raw"), "dlq": unique("x") + ".dlq"}
            kafka.create_topics(topics.values(), partitions=6)
            chance = random.Random(settings.seed)
            return Run(request.node.name, kafka, broker, topics, tmp_path, settings, stack, chance)

        yield make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The time that a test may take grows with what it is asked to do."""
    for item in items:
        if not item.path.is_relative_to(Path(__file__).parent):
            continue  # hooks are called with what was collected elsewhere too
        item.add_marker(pytest.mark.timeout(180 + SETTINGS.rounds * (SETTINGS.seconds + 60)))


def pytest_report_header() -> str:
    return f"faults: {SETTINGS.rounds} rounds, {SETTINGS.seconds:g} s, FAULT_SEED={SETTINGS.seed}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each run came to."""
    if not ACCOUNTS:
        return
    terminalreporter.section("what was acknowledged, and what a reader found")
    columns = ("acknowledged", "lost", "duplicates", "reordered", "wrong", "seconds")
    terminalreporter.write_line(f"{'run':52}" + "".join(f"{name:>13}" for name in columns))
    for name, seconds, account in ACCOUNTS:
        numbers = (len(account.acknowledged), len(account.lost), account.duplicates, len(account.reordered))
        row = [*map(str, numbers), str(len(account.wrong)), f"{seconds:.1f}"]
        terminalreporter.write_line(f"{name:52}" + "".join(f"{cell:>13}" for cell in row))
