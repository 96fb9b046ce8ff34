"""The wheel: the packages import from it as the documentation writes them, wherever it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
IMPORTS = """
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from consumers.config import ConsumerConfig
from consumers.kafka_consumer import KafkaConsumer
from consumers import Outgoing, Record, Reject, RetryLater
import ingestion.mqtt, telemetry.schema, topics.plan, telemetry_operator.spec
import operator
assert operator.add(1, 1) == 2
print(KafkaConsumer.__module__, __import__("consumers").__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("iot_hub_telemetry-*.whl")
    return built


def test_everything_imports_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(wheel) in done.stdout, "imported from the wheel, not from the checkout"


def test_it_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in ZipFile(wheel).namelist()}
    ours = {"producers", "consumers", "ingestion", "telemetry", "topics", "telemetry_operator"}
    assert {top for top in tops if not top.endswith(".dist-info")} == ours
