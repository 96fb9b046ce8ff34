"""Where the demonstration is seen, once nobody can look any more."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from iothub.demo.show import open_show
from iothub.terminal import Terminal
from unit.iothub.demo.screens import SNAPSHOT


class ClosedTerminal(StringIO):
    """Takes nothing more from the moment it is closed down."""

    error: OSError | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [True, False], ids=["a screen", "lines"])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), BrokenPipeError(32, "Broken pipe")], ids=str)
def test_it_falls_silent_and_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, error: OSError
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    # What rich does to this process's standard output where a reader has gone is not for a test.
    monkeypatch.setattr("os.dup2", lambda *_: None)
    output, terminal = ClosedTerminal(), Terminal()
    terminal.err = Console(file=output, force_terminal=is_terminal, width=80, height=24)

    with open_show(terminal) as show:
        show.tell("starting")
        output.error = error
        show.update(SNAPSHOT)
        show.tell("devices publish")
        show.update(SNAPSHOT)
