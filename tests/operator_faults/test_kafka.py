"""Kafka is not there when the operator starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.operator_process import find_condition
from integration_helpers import send
from operator_faults.stage import CONVERGED_SECONDS, MakeStage, number
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.kafka]

TOPIC = "telemetry.raw"
PARTITIONS = 3
MESSAGES = 30


def test_unreachable_at_start_it_comes_later(make_stage: MakeStage, tmp_path: Path) -> None:
    """Given no Kafka, then everything else goes on; when it comes, then the status has its numbers."""
    kafka = KafkaBroker(tmp_path / "kafka")
    stage = make_stage(KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers)
    name, *others = names = number("early", 5)
    stage.operator.start()
    stage.write(names)
    stage.converge()
    stage.write(others, attempts=7)
    stage.converge()
    wait_until(
        lambda: find_condition(stage.kubectl, name, "Degraded").get("reason") == "KafkaUnavailable",
        interval=0.5,
        what="the status to say that Kafka is away",
    )
    with kafka:
        kafka.create_topics([TOPIC], partitions=PARTITIONS)
        send(kafka, TOPIC, [b"{}"] * MESSAGES)

        def has_numbers() -> bool:
            status: dict[str, Any] = stage.look().consumers[name]["status"]
            return (status.get("partitions"), status.get("lag")) == (PARTITIONS, MESSAGES)

        hint = lambda: str(stage.look().consumers[name]["status"])  # noqa: E731  # read only where the wait fails
        wait_until(has_numbers, timeout=CONVERGED_SECONDS, interval=0.5, what="Kafka's numbers", hint=hint)
        stage.converge()
        stage.end()
