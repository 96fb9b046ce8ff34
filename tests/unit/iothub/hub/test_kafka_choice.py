"""Which Kafka the hub runs, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iothub.errors import StartFailed
from iothub.hub import kafka_choice
from iothub.hub.events import Event
from iothub.hub.folder import Folder
from iothub.hub.kafka_choice import KafkaChoice, choose_kafka
from iothub.servers.program import Program
from iothub.servers.server import KafkaServer


def server(*, in_memory: bool, address: str | None) -> KafkaServer:
    program = Program(name="kafka", command=(), is_ready=lambda: True)
    title = "in memory" if in_memory else "Apache"
    return KafkaServer(program, address, in_memory, title, lambda log: None)


class Bench:
    """A machine, as it is found."""

    def __init__(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.problem: str | None = None
        self.failure: str | None = None
        self.address = "127.0.0.1:9092"
        monkeypatch.setattr(kafka_choice, "find_problem", lambda: self.problem)
        monkeypatch.setattr(kafka_choice, "prepare_kafka", self._prepare)
        monkeypatch.setattr(kafka_choice, "prepare_mock", lambda folder: server(in_memory=True, address=None))

    def _prepare(self, folder: Path, *, port: int | None, log: Path) -> KafkaServer:
        if self.failure is not None:
            raise StartFailed(self.failure)
        return server(in_memory=False, address=self.address)

    async def choose(self, choice: KafkaChoice, port: int | None = None) -> str:
        return (await choose_kafka(self.folder, choice, port, self.events.append)).title


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(Folder(tmp_path), monkeypatch)


async def test_apache_kafka_where_it_can_run(bench: Bench) -> None:
    assert await bench.choose("auto") == "Apache"
    assert not [event for event in bench.events if event.kind in {"limit", "port"}]


async def test_the_one_in_memory_where_it_can_not_and_why(bench: Bench) -> None:
    bench.problem = "there is no java on the PATH"
    assert await bench.choose("auto") == "in memory"
    assert str(bench.events[-1]) == "Kafka in memory, in place of Apache Kafka: there is no java on the PATH"


async def test_what_was_asked_for_is_not_replaced(bench: Bench) -> None:
    bench.failure = "the jars can't be fetched"
    assert await bench.choose("mock") == "in memory"
    with pytest.raises(StartFailed, match="the jars can't be fetched"):
        await bench.choose("apache")
    with pytest.raises(StartFailed, match="the jars can't be fetched"):
        await bench.choose("auto", 9092)


async def test_a_failure_is_made_up_for_only_as_long_as_nothing_is_kept(bench: Bench) -> None:
    """Given data of an earlier run, when Kafka can't be prepared, then none in memory takes its place in silence."""
    bench.failure = "the jars can't be fetched"
    assert await bench.choose("auto") == "in memory"
    (bench.folder.data / "kafka").mkdir(parents=True)
    with pytest.raises(StartFailed, match="the jars can't be fetched"):
        await bench.choose("auto")


async def test_a_usual_port_that_is_taken_is_told(bench: Bench) -> None:
    bench.address = "127.0.0.1:17001"
    await bench.choose("auto")
    assert str(bench.events[-1]) == "port 9092 is taken, so Kafka is at 127.0.0.1:17001"


async def test_the_one_in_memory_takes_no_port(bench: Bench) -> None:
    with pytest.raises(StartFailed, match="--kafka-port can't be had"):
        await bench.choose("mock", 9092)


def test_an_event_is_its_sentence() -> None:
    event = Event("Kafka is ready", kind="ready", subject="kafka")
    told: list[str] = []
    report: Callable[[str], None] = told.append
    report(event)
    assert (told, event.kind, event.subject) == (["Kafka is ready"], "ready", "kafka")
