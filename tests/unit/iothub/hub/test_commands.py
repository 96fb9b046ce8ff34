"""The commands of the hub, as they are typed: their help, and what can't be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from iothub.app import app
from iothub.errors import CliError, ManifestProblem, NotRunning, UsageError

COMMANDS = {
    "up": "Run the whole pipeline on this machine, until Ctrl-C.",
    "down": "End the hub of this machine in order",
    "get": "Show the hub's TelemetryConsumers",
    "logs": "Show what a TelemetryConsumer's workers write",
    "scale": "Change how many workers a TelemetryConsumer",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("IOTHUB_NAME", raising=False)
    return CliRunner()


def invoke(run: CliRunner, *arguments: str) -> Result:
    return run.invoke(app, list(arguments))


@pytest.mark.parametrize("command", COMMANDS)
def test_help(run: CliRunner, command: str) -> None:
    result = invoke(run, command, "--help")
    assert result.exit_code == 0
    assert COMMANDS[command].split()[0] in result.output
    assert "--name" in result.output
    assert "--output" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("up", "--kafka", "rabbit"),
        ("up", "--mqtt", "hive"),
        ("up", "--mqtt-port", "0"),
        ("up", "--kafka-port", "70000"),
        ("scale", "x"),
        ("scale", "x", "--replicas", "two"),
        ("scale", "--replicas", "2"),
        ("logs",),
        ("logs", "x", "--tail", "-1"),
        ("get", "-o", "yaml"),
        ("down", "x"),
    ],
)
def test_what_can_not_be_meant(run: CliRunner, arguments: tuple[str, ...]) -> None:
    assert invoke(run, *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (("get",), NotRunning, "no hub 'hub' runs on this machine; start it with: iothub up"),
        (("down",), NotRunning, "no hub 'hub' runs on this machine; start it with: iothub up"),
        (("down", "--data"), NotRunning, "no hub 'hub' runs on this machine; start it with: iothub up"),
        (("scale", "x", "--replicas", "1"), NotRunning, "no hub 'hub' runs on this machine"),
        (("get", "--name", "lab"), NotRunning, "start it with: iothub up --name lab"),
        (("logs", "kafka"), UsageError, "there is no log of 'kafka'; the hub 'hub' has written none"),
        (("get", "--name", "a/b"), UsageError, "'a/b' can't be a hub's name"),
        (("up", "-f", "/nowhere/x.yaml"), ManifestProblem, "/nowhere/x.yaml: there is no such file or folder"),
    ],
)
def test_what_can_not_be_done(run: CliRunner, arguments: tuple[str, ...], error: type[CliError], sentence: str) -> None:
    result = invoke(run, *arguments)
    assert type(result.exception) is error
    assert sentence in str(result.exception)


def test_the_data_of_a_hub_that_has_ended_can_be_deleted(run: CliRunner, tmp_path: Path) -> None:
    data = tmp_path / "iot-hub" / "hub" / "data" / "kafka"
    data.mkdir(parents=True)
    result = invoke(run, "down", "--data")
    assert (result.exit_code, data.exists()) == (0, False)
    assert "its data is deleted" in result.output
