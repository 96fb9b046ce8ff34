"""A machine of the test's own: a PATH with the programs that it makes up, and folders that are empty."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from unit.conftest import SetVariables

Install = Callable[[str, str], Path]


@pytest.fixture
def install(tmp_path: Path, environment: SetVariables, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a program that does what a shell script says; nothing else is on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    environment({"PATH": str(folder), "XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "c")})
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def make(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return make
