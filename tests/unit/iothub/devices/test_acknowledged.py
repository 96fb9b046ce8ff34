"""The file that gets the ids of acknowledged messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from iothub.devices.message import build_message
from iothub.devices.simulation import open_acknowledged
from iothub.errors import UsageError

FULL = Path("/dev/full")
"""A file that never has room."""

MORE_THAN_A_BUFFER = 10_000


def test_ids_are_written_one_a_line(tmp_path: Path) -> None:
    path, message = tmp_path / "ids", build_message("a", {}, None)

    with open_acknowledged(path) as write:
        write(message)

    assert path.read_text("ascii") == f"{message.id}\n"


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("messages", [1, MORE_THAN_A_BUFFER], ids=["told at the end", "told while it runs"])
def test_a_full_disk_is_told_in_a_sentence(messages: int) -> None:
    message = build_message("a", {}, None)

    def write_all() -> None:
        with open_acknowledged(FULL) as write:
            for _ in range(messages):
                write(message)

    with pytest.raises(UsageError, match="can't write /dev/full: No space left"):
        write_all()
