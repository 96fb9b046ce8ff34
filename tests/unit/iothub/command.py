"""`iothub` as a process, for the tests of what its commands print and how they end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def iothub(*arguments: str | Path, stdin: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``iothub`` to its end."""
    command = [sys.executable, "-m", "iothub", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60, cwd=folder)
