"""How a command ends: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from iothub import app as frame
from iothub import errors
from telemetry.errors import ConfigurationError, NotYetAvailable

COMMANDS = sorted(
    [command.name or command.callback.__name__ for command in frame.app.registered_commands if command.callback]
    + [group.name for group in frame.app.registered_groups if group.name]
)


def run_as_command(monkeypatch: pytest.MonkeyPatch, body: Callable[[], None]) -> int:
    """Run ``body`` as a command of an application of its own, and return the exit code."""
    application = typer.Typer(pretty_exceptions_enable=False)
    application.command()(body)
    monkeypatch.setattr(frame, "app", application)
    monkeypatch.setattr(sys, "argv", ["iothub"])
    return frame.run()


def iothub(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iothub", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "", "HOME": "/nonexistent", **environment},
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("write this"), 2),
        (errors.NotRunning("no hub"), 1),
        (errors.Unavailable("no answer"), 1),
        (errors.NotSupported("not here"), 1),
        (errors.ManifestProblem("a.yaml:3: no"), 1),
        (errors.StartFailed("no port"), 1),
        (ConfigurationError("KAFKA_X: no"), 1),
        (NotYetAvailable("TopicNotFound", "no topic"), 1),
    ],
)
def test_an_error_is_one_sentence_and_a_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert run_as_command(monkeypatch, fail) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"iothub: {error}\n"


def test_every_error_of_the_tree_is_a_cli_error() -> None:
    tree = [line.split()[1] for line in (errors.__doc__ or "").splitlines() if line.startswith(("├", "└"))]
    assert tree
    for name in tree:
        assert issubclass(getattr(errors, name), errors.CliError)


def test_ctrl_c_ends_with_the_shells_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_as_command(monkeypatch, interrupted) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_commands_own_exit_code_is_taken(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise typer.Exit(code)

    assert run_as_command(monkeypatch, leave) == code


def test_an_error_that_nobody_foresaw_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_as_command(monkeypatch, fail)


def test_a_package_of_the_extra_that_is_missing_is_named_with_what_to_type(tmp_path: Path) -> None:
    # Given an environment in which importing typer fails as if it were not installed
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    done = iothub("topics", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "iothub: typer is not installed; install it with: pip install 'iot-hub-telemetry[cli]'\n"


def test_a_module_of_our_own_that_is_missing_is_a_fault_of_ours(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['iothub.terminal'] = None\n")
    done = iothub("topics", PYTHONPATH=str(tmp_path))
    assert "Traceback" in done.stderr


def test_the_version_is_that_of_the_package() -> None:
    done = iothub("--version")
    assert (done.returncode, done.stdout) == (0, f"iothub {version('iot-hub-telemetry')}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nonsense",), "no such command 'nonsense'; see iothub --help"),
        (("dlq", "nonsense"), "no such command 'nonsense'; see iothub dlq --help"),
        (("topics", "--nonsense"), "no such option: --nonsense; see iothub topics --help"),
        (("tail",), "missing argument 'TOPIC'; see iothub tail --help"),
        (("scale", "logger"), "missing option '--replicas'; see iothub scale --help"),
        (
            ("topics", "--output", "xml"),
            "invalid value for '--output' / '-o': 'xml' is not one of 'table', 'json'; see iothub topics --help",
        ),
        (
            ("tail", "telemetry.raw", "--limit", "0"),
            "invalid value for '--limit': it should be greater than or equal to 1; see iothub tail --help",
        ),
    ],
)
def test_what_can_not_be_meant_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = iothub(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    # A process that was started with -m is called that way in what typer says.
    assert done.stderr.replace("python -m iothub", "iothub") == f"iothub: {sentence}\n"


def test_no_arguments_are_answered_with_the_help() -> None:
    done = iothub()
    assert (done.returncode, done.stderr) == (2, "")
    assert "Usage:" in done.stdout


def test_the_help_lists_the_commands_by_name() -> None:
    listed = [line.split()[1] for line in iothub("--help", COLUMNS="200").stdout.splitlines() if "│ " in line]
    assert [word for word in listed if word in COMMANDS] == COMMANDS


def test_every_command_has_its_line_in_the_help_and_takes_output() -> None:
    listed = iothub("--help", COLUMNS="200").stdout
    assert COMMANDS
    for name in COMMANDS:
        assert f" {name} " in listed
    for command in frame.app.registered_commands:
        assert command.callback is not None
        assert (command.callback.__doc__ or "").strip(), command.callback.__name__
        assert "output" in command.callback.__annotations__, command.callback.__name__


def test_commands_are_in_alphabetical_order() -> None:
    names = [command.callback.__name__ for command in frame.app.registered_commands if command.callback]
    assert names == sorted(names)
