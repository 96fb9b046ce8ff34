"""benchmarks/ingestion.md names the commands that are there, and all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "benchmarks" / "ingestion.md").read_text("utf-8")
MODULES = sorted(set(re.findall(r"python -m (benchmarks\.\w+)", PAGE)))


def ask_for_help(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", MODULES)
def test_each_command_is_there(module: str) -> None:
    assert "--runs" in ask_for_help(module)


def test_the_page_has_every_benchmark_of_ingestion() -> None:
    listed = set(re.findall(r"ingestion-[a-z-]+[a-z]", " ".join(ask_for_help("benchmarks.ingestion").split())))
    assert len(listed) >= 5
    assert {module.removeprefix("benchmarks.").replace("_", "-") for module in MODULES} == listed
