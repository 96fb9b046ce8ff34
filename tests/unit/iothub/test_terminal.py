"""Where a command writes: results and the rest apart, JSON or a table, and nothing of a terminal in a pipe."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from iothub.terminal import OutputFormat, Terminal, find_program, make_table

LONG = "x" * 400

# In a process of its own: what a terminal does, only a terminal shows.
ON_A_TERMINAL = """
from iothub.terminal import Terminal, make_table
terminal = Terminal()
table = make_table("name")
table.add_row("telemetry.raw", style="red")
with terminal.waiting("Kafka"):
    pass
terminal.show({}, lambda: table)
"""


def build_table() -> Table:
    table = make_table("name", "text")
    table.add_row("[bold]one[/bold]", LONG, style="red")
    table.add_row(":smile:", "short")
    return table


def test_json_is_the_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(OutputFormat.JSON)
    terminal.show({"name": "ü", "count": 3}, build_table)
    assert json.loads(capsys.readouterr().out) == {"name": "ü", "count": 3}


def test_a_table_in_a_pipe_is_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show({}, build_table)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    header, first, second = out.splitlines()
    assert header.split() == ["NAME", "TEXT"]
    assert first.split() == ["[bold]one[/bold]", LONG]
    assert second.split() == [":smile:", "short"]
    assert all(line == line.rstrip() for line in out.splitlines())


def test_a_table_on_a_terminal_has_colours_and_fits() -> None:
    controller, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "60"}
        for name in ("NO_COLOR", "FORCE_COLOR"):
            environment.pop(name, None)
        command = [sys.executable, "-c", ON_A_TERMINAL]
        subprocess.run(command, stdout=terminal, stderr=terminal, env=environment, check=True, timeout=60)
        said = os.read(controller, 65_536).decode()
    finally:
        os.close(controller)
        os.close(terminal)
    assert "\x1b[31m" in said
    assert "telemetry.raw" in said
    assert "waiting for Kafka" in said
    # What was waited for is taken away again.
    assert "\x1b[2K" in said


@pytest.mark.parametrize("output", list(OutputFormat))
def test_what_is_no_result_goes_to_standard_error(output: OutputFormat, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(output)
    with terminal.waiting("Kafka at [::1]:9092"):
        terminal.say("a sentence with [brackets] and :smile:")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "waiting for Kafka at [::1]:9092 …\na sentence with [brackets] and :smile:\n"


def test_items_of_a_stream_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    for output in OutputFormat:
        Terminal(output).emit({"id": 1}, "the first")
    assert capsys.readouterr().out == 'the first\n{"id":1}\n'


def test_a_reader_that_goes_ends_a_stream_in_peace() -> None:
    script = (
        "from iothub.terminal import Terminal, quiet_pipe\n"
        "with quiet_pipe():\n"
        "    while True:\n"
        "        Terminal().emit({}, 'line')\n"
    )
    done = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout is not None
    assert done.stderr is not None
    assert done.stdout.readline() == b"line\n"
    done.stdout.close()
    with done.stderr:
        assert done.stderr.read() == b""
    assert done.wait(30) == 0


def test_a_stream_that_is_no_terminal_has_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Terminal().out.width > 1_000


class TestProgram:
    @pytest.fixture
    def installed(self, tmp_path: Path) -> Path:
        program = tmp_path / "bin" / "iothub"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        return program

    def test_one_of_the_path_is_called_by_its_name(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(installed.parent))
        monkeypatch.setattr("sys.argv", [str(installed), "demo"])
        assert find_program() == "iothub"

    def test_any_other_is_called_as_it_was_typed(self, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        monkeypatch.setattr("sys.argv", [str(installed), "demo"])
        assert find_program() == str(installed)

    def test_kubectl_calls_it_by_another_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.argv", ["/usr/bin/kubectl-iothub"])
        assert find_program() == "iothub"


def read_terminal(script: str, columns: int) -> list[str]:
    """Run ``script`` on a terminal of so many columns, and return the lines that it writes, plain."""
    controller, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
        environment.pop("FORCE_COLOR", None)
        subprocess.run([sys.executable, "-c", script], stdout=terminal, env=environment, check=True, timeout=60)
        return re.sub(r"\x1b\[[0-9;]*m", "", os.read(controller, 65_536).decode()).splitlines()
    finally:
        os.close(controller)
        os.close(terminal)


def test_a_narrow_terminal_cuts_no_cell_of_a_result() -> None:
    lines = read_terminal(
        "from iothub.terminal import Terminal, make_table\n"
        "table = make_table('group', 'lag')\n"
        "table.add_row('telemetry-clean-logger', '1234567')\n"
        "Terminal().show([], lambda: table)\n",
        columns=20,
    )
    assert [line.rstrip() for line in lines] == ["GROUP                    LAG", "telemetry-clean-logger   1234567"]


def test_a_sentence_is_folded_between_words_and_a_path_stays_whole() -> None:
    script = "from iothub.terminal import Terminal\nprint(Terminal().fold('look into /a/rather-long/path and go on'))\n"
    assert read_terminal(script, columns=12) == ["look into", "/a/rather-long/path", "and go on"]


def test_a_sentence_in_a_pipe_is_one_line() -> None:
    assert Terminal().fold("word " * 100) == "word " * 100
