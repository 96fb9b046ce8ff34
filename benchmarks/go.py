"""Peers that are written in Go: built once for all runs, outside of the repository, since that takes a minute."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.child import BenchmarkFailed

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "iot-hub-bench"
"""Where what is built lies."""
_BUILD_SECONDS = 1800


def run_go(
    words: Sequence[str], what: str, *, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run ``go WORDS``, in ``folder`` and with ``environment`` beside ours, which builds ``what``.

    Raises BenchmarkFailed where there is no Go, or it fails.
    """
    go = shutil.which("go")
    if go is None:
        raise BenchmarkFailed(f"{what} can't be built here: Go is not installed")
    done = subprocess.run(
        ["nice", go, *words],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_SECONDS,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"{what} can't be built: {done.stderr[-2000:]}")
