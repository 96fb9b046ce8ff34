"""The fixtures that hand real servers to tests, and their logs to whoever reads a failure.

A server lives as long as its fixture's scope and is stopped at its end, whatever happened in between. A test that kills
or freezes a server takes one of its own (``kafka_factory``, ``mosquitto_factory``), so that no other test meets it.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

from support.kafka_broker import KafkaBroker
from support.mosquitto import OPEN_CONFIG, Mosquitto
from support.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

__all__ = ["KafkaFactory", "MosquittoFactory"]

SERVERS = {"kafka": ("kafka", "kafka_factory"), "mosquitto": ("mosquitto", "mosquitto_factory")}


class KafkaFactory(Protocol):
    """Starts a broker that belongs to the calling test."""

    def __call__(self, *, heap_mib: int = 320, properties: Mapping[str, str] | None = None) -> KafkaBroker: ...


class MosquittoFactory(Protocol):
    """Starts a broker that belongs to the calling test."""

    def __call__(self, config: str = OPEN_CONFIG, *, minimum: tuple[int, ...] = (2, 0)) -> Mosquitto: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers whose fixtures it uses, so that ``-m 'not kafka'`` can't miss one."""
    for item in items:
        for marker, fixtures in SERVERS.items():
            if set(fixtures) & set(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the ends of the running servers' logs below a failed test that uses one."""
    report = yield
    if report.failed and any(item.get_closest_marker(marker) for marker in SERVERS):
        report.sections += [(process.name, process.log_tail()) for process in ServerProcess.running]
    return report


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One Apache Kafka for the whole run. Don't stop it; take topics of your own (``unique``)."""
    folder = tmp_path_factory.mktemp("kafka")
    # Members that were killed are missed soon, where a test asks for that.
    with KafkaBroker(folder, properties={"group.min.session.timeout.ms": "1000"}) as broker:
        yield broker
    _drop_data(folder)


@pytest.fixture
def kafka_factory(tmp_path: Path) -> Iterator[KafkaFactory]:
    """Brokers of this test's own, to kill, freeze and restart."""
    with ExitStack() as stack:

        def start(*, heap_mib: int = 320, properties: Mapping[str, str] | None = None) -> KafkaBroker:
            folder = tmp_path / f"kafka-{uuid.uuid4().hex[:6]}"
            stack.callback(_drop_data, folder)
            return stack.enter_context(KafkaBroker(folder, heap_mib=heap_mib, properties=properties))

        yield start


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One mosquitto for the tests of a module, open to anyone on 127.0.0.1. Don't stop it."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture
def mosquitto_factory(tmp_path: Path) -> Iterator[MosquittoFactory]:
    """Brokers of this test's own, with the configuration that it gives, to kill, freeze and restart."""
    with ExitStack() as stack:

        def start(config: str = OPEN_CONFIG, *, minimum: tuple[int, ...] = (2, 0)) -> Mosquitto:
            folder = tmp_path / f"mosquitto-{uuid.uuid4().hex[:6]}"
            return stack.enter_context(Mosquitto(folder, config, minimum=minimum))

        yield start


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes names that no other test uses: ``unique("raw")`` is ``raw-<8 hex digits>``, the same within a test."""
    suffix = uuid.uuid4().hex[:8]
    return lambda name: f"{name}-{suffix}"


def _drop_data(folder: Path) -> None:
    # pytest keeps the folders of three runs: the log is worth keeping, a broker's data is not.
    shutil.rmtree(folder / "data", ignore_errors=True)
