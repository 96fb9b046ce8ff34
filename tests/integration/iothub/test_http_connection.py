"""Publishing over HTTP: what is acknowledged is in Kafka, whatever happens to ingestion meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestion.new_api_key import make_entry
from integration_helpers import OurProcess, headers_of, read_topic
from iothub.devices.fleet import Fleet
from iothub.devices.message import Message, Planned, address_over_http
from iothub.devices.publisher import Publisher
from iothub.errors import Unavailable
from iothub.target import HttpTarget
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until

Start = Callable[..., OurProcess]


@pytest.fixture
def topics(kafka: KafkaBroker, unique: Callable[[str], str]) -> dict[str, str]:
    names = {"raw": unique("raw"), "dlq": unique("x") + ".dlq"}
    kafka.create_topics(names.values(), partitions=3)
    return names


@pytest.fixture
def start(kafka: KafkaBroker, topics: dict[str, str], start_process: Start) -> Callable[..., OurProcess]:
    """Start HTTP ingestion on a port."""

    def run(port: int, **environment: str) -> OurProcess:
        return start_process(
            "ingestion.http",
            KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
            INGESTION_HTTP_HOST="127.0.0.1",
            INGESTION_HTTP_PORT=str(port),
            INGESTION_TOPIC=topics["raw"],
            INGESTION_DLQ_TOPIC=topics["dlq"],
            **environment,
        )

    return run


def plan(messages: int, *, rate: float = 1_000.0) -> list[Planned]:
    fleet = Fleet(20, damaged=0.1, run="http")
    planned = islice(fleet.plan(rate, datetime.now(UTC)), messages)
    return [Planned(due, address_over_http(message)) for due, message in planned]


@pytest.fixture
def port(start: Callable[..., OurProcess]) -> int:
    """A port where ingestion is ready."""
    chosen = free_port()
    process = start(chosen)
    wait_until(lambda: "listening" in process.log, hint=lambda: process.log)
    return chosen


def test_what_is_acknowledged_is_in_kafka_each_device_in_order(
    kafka: KafkaBroker, topics: dict[str, str], port: int
) -> None:
    acknowledged: list[Message] = []
    planned = plan(600)
    publisher = Publisher(HttpTarget(f"http://127.0.0.1:{port}"), on_acknowledged=acknowledged.append)
    publisher.run(planned)
    assert (publisher.counts.sent, publisher.counts.acknowledged, publisher.counts.damaged.total()) == (600, 600, 60)
    arrived = read_topic(kafka, topics["raw"])
    assert {headers_of(message)["id"] for message in arrived} == {message.id for message in acknowledged}
    for device in {message.device for message in acknowledged}:
        sent = [message.payload for _, message in planned if message.device == device]
        assert [message.value() for message in arrived if headers_of(message)["device"] == device] == sent


def test_ingestion_that_is_killed_loses_nothing(
    kafka: KafkaBroker, topics: dict[str, str], start: Callable[..., OurProcess]
) -> None:
    port, acknowledged, planned = free_port(), list[Message](), plan(2_000)
    first = start(port)
    wait_until(lambda: "listening" in first.log, hint=lambda: first.log)
    publisher = Publisher(HttpTarget(f"http://127.0.0.1:{port}"), on_acknowledged=acknowledged.append)
    thread = threading.Thread(target=publisher.run, args=(planned,), daemon=True)
    thread.start()
    wait_until(lambda: len(acknowledged) > 400)
    first.kill()
    start(port)
    thread.join(90)
    assert not thread.is_alive()
    assert publisher.counts.acknowledged == 2_000
    arrived = [headers_of(message)["id"] for message in read_topic(kafka, topics["raw"])]
    assert set(arrived) == {message.id for _, message in planned}


def test_without_the_key_everything_is_refused(start: Callable[..., OurProcess], tmp_path: Path) -> None:
    keys, port = tmp_path / "keys", free_port()
    key, entry = make_entry("simulation", [])
    keys.write_text(json.dumps({"keys": [entry]}))
    process = start(port, INGESTION_API_KEYS_FILE=str(keys))
    wait_until(lambda: "listening" in process.log, hint=lambda: process.log)
    url = f"http://127.0.0.1:{port}"
    stranger, known = Publisher(HttpTarget(url)), Publisher(HttpTarget(url, SecretStr(key)))
    stranger.run(plan(5))
    known.run(plan(5))
    assert (stranger.counts.refused, dict(stranger.counts.refusals)) == (5, {"401": 5})
    assert known.counts.acknowledged == 5


def test_where_nothing_listens_it_is_one_sentence() -> None:
    with pytest.raises(Unavailable, match=r"no HTTP ingestion answers at http://127\.0\.0\.1"):
        Publisher(HttpTarget(f"http://127.0.0.1:{free_port()}")).connect()
