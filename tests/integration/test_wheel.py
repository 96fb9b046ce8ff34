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
import ingestion.mqtt, telemetry.schema, topics.plan, telemetry_operator.spec, iothub.app
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
    ours = {"producers", "consumers", "ingestion", "telemetry", "topics", "telemetry_operator", "iothub"}
    assert {top for top in tops if not top.endswith(".dist-info")} == ours


def test_the_command_line_has_all_that_it_needs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    with ZipFile(wheel) as archive:
        archive.extractall(installed)
    (about,) = installed.glob("*.dist-info")
    points = (about / "entry_points.txt").read_text()
    assert "iothub = iothub.__main__:main" in points
    assert "kubectl-iothub = iothub.__main__:main" in points, "so that `kubectl iothub` finds it"
    example = installed / "iothub" / "resources" / "examples" / "telemetry-raw-logger.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "iothub", "check", "-f", str(example)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "1 TelemetryConsumer is right\n"), done.stderr
    for needed in ("crds/telemetryconsumer.yaml", "examples/telemetry-validator.yaml"):
        assert (installed / "iothub" / "resources" / needed).is_file()
    for needed in ("apache/pom.xml", "apache/jars.sha256", "apache/log4j2.properties"):
        assert (installed / "iothub" / "servers" / needed).is_file()
