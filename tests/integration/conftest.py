"""Fixtures that start consumers and processes of ours, and end what a test leaves running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.config import ConsumerConfig
from consumers.kafka_consumer import KafkaConsumer
from integration_helpers import OurProcess, Running
from support.kafka_broker import KafkaBroker


@pytest.fixture
def topic(kafka: KafkaBroker, unique: Callable[[str], str]) -> str:
    (name,) = kafka.create_topics([unique("raw")], partitions=3)
    return name


@pytest.fixture
def dlq(kafka: KafkaBroker, unique: Callable[[str], str]) -> str:
    (name,) = kafka.create_topics([unique("x") + ".dlq"], partitions=1)
    return name


@pytest.fixture
def run_consumer(kafka: KafkaBroker) -> Iterator[Callable[..., Running]]:
    """Start a consumer; what still runs at the end of the test is stopped."""
    started: list[Running] = []

    def run(*, group: str, topics: list[str], handler: Any, settings: Any = None, **kwargs: Any) -> Running:
        config = ConsumerConfig(bootstrap_servers=kafka.bootstrap_servers, group_id=group, **(settings or {}))
        running = Running(KafkaConsumer(config, topics, handler, consume_timeout=0.2, **kwargs))
        started.append(running)
        return running

    yield run
    for running in started:
        running.consumer.stop()
        running.join()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., OurProcess]]:
    """Start processes of ours; what still runs at the end of the test is killed."""
    started: list[OurProcess] = []

    def start(*arguments: str, **environment: str) -> OurProcess:
        process = OurProcess(list(arguments), environment, tmp_path / f"process-{len(started)}.log")
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
