"""``python -m topics`` on a real Kafka: it makes, grows and configures, and takes nothing away."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from integration_helpers import OurProcess
from support.kafka_broker import KafkaBroker


def test_topics_become_as_wanted_and_nothing_is_taken_away(
    kafka: KafkaBroker, tmp_path: Path, unique: Callable[[str], str], start_process: Callable[..., OurProcess]
) -> None:
    name, file = unique("made"), tmp_path / "topics.json"

    def run(partitions: int, **configs: str) -> str:
        wanted = {"name": name, "partitions": partitions, "replicationFactor": 1, "configs": configs}
        file.write_text(json.dumps({"topics": [wanted]}))
        process = start_process("topics", str(file), KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers)
        assert process.wait() == 0, process.log
        return process.log

    def partitions() -> int:
        return len(kafka.admin.list_topics(timeout=10).topics[name].partitions)

    assert "creating topic" in run(2, **{"retention.ms": "1000"})
    assert partitions() == 2
    again = run(2, **{"retention.ms": "1000"})
    assert "creating" not in again
    assert "setting configs" not in again
    assert "adding partitions" in run(4, **{"retention.ms": "1000"})
    assert "setting configs" in run(4, **{"retention.ms": "2000"})
    assert "it has 4 partitions, 1 are asked for" in run(1, **{"retention.ms": "2000"})
    assert partitions() == 4


def test_a_wrong_file_is_refused_by_its_place(tmp_path: Path, start_process: Callable[..., OurProcess]) -> None:
    file = tmp_path / "topics.json"
    file.write_text('{"topics": [{"name": "a b", "partitons": 2}]}')
    process = start_process("topics", str(file))
    assert process.wait() == 78
    for expected in ("topics.0.name", "topics.0.partitions: Field required", "topics.0.partitons: Extra inputs"):
        assert expected in process.log
