"""Where hubs keep their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from iothub.errors import UsageError
from iothub.hub.state import folder_of


def test_a_relative_state_home_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "state")

    assert folder_of("lab") == tmp_path / ".local" / "state" / "iot-hub" / "lab"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", find_none)

    with pytest.raises(UsageError, match="set XDG_STATE_HOME"):
        folder_of("lab")
