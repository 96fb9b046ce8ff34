"""What the fault tests share: the settings, mosquitto as the hub has it, and the run, which keeps the account."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pytest

from faults.ledger import Account, draw_up
from faults.pipeline import MOSQUITTO, Ingester, mosquitto_config
from faults.publisher import Publisher
from faults.reader import read_arrivals
from faults.settings import FaultSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    broker: Mosquitto
    topics: dict[str, str]
    folder: Path
    settings: FaultSettings
    stack: ExitStack
    chance: random.Random
    started: float = field(default_factory=time.monotonic)
    ingesters: list[Ingester] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    _fleet: Publisher | None = None

    @property
    def fleet(self) -> Publisher:
        """The devices, made at first use."""
        if self._fleet is None:
            self.open_fleet()
        assert self._fleet is not None
        return self._fleet

    def open_fleet(
        self, *, rate: float = 2500.0, size: int = 290, window: int = 500, port: int | None = None
    ) -> Publisher:
        """Make the devices other than usual."""
        self._fleet = self.stack.enter_context(Publisher(port or self.broker.port, rate=rate, size=size, window=window))
        return self._fleet

    def ingester(
        self, ordinal: int = 0, *, mqtt_port: int | None = None, kafka: str | None = None, **environment: str
    ) -> Ingester:
        """Return a replica that is not started yet; it is ended with the run."""
        made = Ingester(
            self.folder,
            mqtt_port=mqtt_port or self.broker.port2,
            kafka=kafka or self.kafka.bootstrap_servers,
            topics=self.topics,
            ordinal=ordinal,
            **environment,
        )
        self.ingesters.append(made)
        self.stack.callback(made.kill)
        return made

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
        account = draw_up(self.fleet.acknowledged, arrivals, size=self.fleet.size, events=self.events)
        ACCOUNTS.append((self.name, time.monotonic() - self.started, account))
        return account


class MakeRun(Protocol):
    """Begins a run between a Kafka and a mosquitto, with topics of its own."""

    def __call__(self, kafka: KafkaBroker, broker: Mosquitto) -> Run: ...


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
    """Begin a run between a mosquitto and a Kafka, with topics of its own."""
    with ExitStack() as stack:

        def make(kafka: KafkaBroker, broker: Mosquitto) -> Run:
            topics = {"raw": unique("raw"), "dlq": unique("x") + ".dlq"}
            kafka.create_topics(topics.values(), partitions=6)
            chance = random.Random(settings.seed)
            return Run(request.node.name, kafka, broker, topics, tmp_path, settings, stack, chance)

        yield make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The time that a test may take grows with what it is asked to do."""
    for item in items:
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
