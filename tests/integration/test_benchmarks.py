"""The benchmarks run, leave results of the agreed form, and their README names commands that are there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.kafka_broker import KafkaBroker

ROOT = Path(__file__).parents[2]
README = ROOT / "benchmarks" / "README.md"
MODULES = sorted(set(re.findall(r"python -m (benchmarks(?:\.\w+)?)", README.read_text("utf-8"))))
ROW = {"benchmark", "metric", "unit", "ours", "peer", "peer_value", "ratio", "goal", "holds"}


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module")
def measured(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, dict[str, Any]]]:
    """The table and the results of two benchmarks, as small as they get."""
    folder = tmp_path_factory.mktemp("results")
    done = run(
        "benchmarks",
        *("--only", "produce", "--only", "validator-cost", "--runs", "1", "--scale", "0.01"),
        *("--bootstrap-servers", kafka.bootstrap_servers, "--results", str(folder)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, {path.stem: json.loads(path.read_text("utf-8")) for path in folder.iterdir()}


def test_each_benchmark_leaves_its_results_with_machine_versions_and_date(
    measured: tuple[str, dict[str, dict[str, Any]]],
) -> None:
    _, files = measured
    assert files.keys() == {"produce", "validator-cost"}
    for name, document in files.items():
        assert {"date", "machine", "versions", "measured", "results"} == document.keys()
        assert document["measured"] == {"runs": 1, "scale": 0.01}
        assert document["machine"]["cores"] >= 1
        assert document["versions"]["librdkafka"]
        assert [row["benchmark"] for row in document["results"]] == [name] * len(document["results"])
        assert all(row.keys() == ROW for row in document["results"])


def test_a_row_beside_a_peer_has_the_ratio_and_says_whether_the_goal_is_reached(
    measured: tuple[str, dict[str, dict[str, Any]]],
) -> None:
    row = measured[1]["produce"]["results"][0]
    assert row["ratio"] == pytest.approx(row["ours"] / row["peer_value"], rel=0.01)
    assert row["goal"] == "≥ 0.8 x"
    assert row["holds"] == (row["ratio"] >= 0.8)


def test_a_row_without_a_peer_is_judged_by_itself(measured: tuple[str, dict[str, dict[str, Any]]]) -> None:
    (row,) = measured[1]["validator-cost"]["results"]
    assert row["ours"] > 0
    assert (row["peer"], row["peer_value"], row["ratio"]) == (None, None, None)
    assert row["holds"] == (row["ours"] <= 12)


def test_the_table_has_every_row(measured: tuple[str, dict[str, dict[str, Any]]]) -> None:
    table, files = measured
    titles, *lines = table.splitlines()
    assert titles.split()[:4] == ["benchmark", "metric", "unit", "ours"]
    assert len(lines) == sum(len(document["results"]) for document in files.values())


def test_without_a_kafka_the_command_says_so_and_fails(tmp_path: Path) -> None:
    done = run("benchmarks.produce", "--bootstrap-servers", "127.0.0.1:1", "--results", str(tmp_path))
    assert done.returncode == 1
    assert "no Kafka answers at 127.0.0.1:1" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", MODULES)
def test_the_readme_names_commands_that_are_there(module: str) -> None:
    done = run(module, "--help")
    assert done.returncode == 0, done.stderr
    assert "--runs" in done.stdout


def test_the_readme_names_every_benchmark() -> None:
    # argparse breaks its lines at hyphens too.
    text = " ".join(run("benchmarks", "--help").stdout.split()).replace("- ", "-")
    (listed,) = re.findall(r"--only NAME one of ([a-z, -]+[a-z])", text)
    assert set(MODULES) == {f"benchmarks.{name.replace('-', '_')}" for name in listed.split(", ")} | {"benchmarks"}
