"""benchmarks/operator.md names the commands that are there, and all of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "benchmarks" / "operator.md").read_text("utf-8")
MODULES = sorted(set(re.findall(r"python -m (benchmarks\.\w+)", PAGE)))


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "500"},  # no name is broken at its hyphen
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("module", MODULES)
def test_each_command_is_there(module: str) -> None:
    done = run(module, "--help")
    assert done.returncode == 0, done.stderr
    assert "--runs" in done.stdout


def test_the_page_has_every_benchmark_of_the_operator() -> None:
    listed = set(re.findall(r"operator-[a-z]+", run("benchmarks.operator", "--help").stdout))
    assert len(listed) >= 4
    assert {module.removeprefix("benchmarks.").replace("_", "-") for module in MODULES} == listed
