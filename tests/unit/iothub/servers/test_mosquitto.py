"""mosquitto's configuration, and what is said of its version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from iothub.servers.mosquitto import Mosquitto, build_config, find_limits, find_mosquitto, prepare_mosquitto

CHART = Path(__file__).parents[4] / "charts" / "iot-hub" / "charts" / "mqtt"
SQLITE = Path("/usr/lib/mosquitto_persist_sqlite.so")
OLD = Mosquitto(Path("/usr/sbin/mosquitto"), (2, 0, 11), None)
NEW = Mosquitto(Path("/usr/sbin/mosquitto"), (2, 1, 2), SQLITE)


def options(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_queues_and_persistence_are_those_of_the_chart() -> None:
    """The chart's template is read with its own values in place of the expressions."""
    template = (CHART / "templates" / "configmap.yaml").read_text()
    limits = yaml.safe_load((CHART / "values.yaml").read_text())["limits"]
    config = template.partition("mosquitto.conf: |")[2].partition("# Devices.")[0]
    for name, value in limits.items():
        config = re.sub(
            r"\{\{ (?:mul \()?int64 \.Values\.limits\." + name + r"\)?(?: 1048576)? \}\}", str(value), config
        )
    chart = options(config)
    chart["memory_limit"] = [str(int(chart["memory_limit"][0]) * 1024 * 1024)]
    ours = options(build_config(Path("/data"), [1, 2], sqlite=SQLITE, as_root=False))
    for name in ("max_packet_size", "max_inflight_messages", "max_queued_messages", "max_queued_bytes", "memory_limit"):
        assert ours[name] == chart[name]
    assert ours["plugin_opt_flush_period"] == chart["plugin_opt_flush_period"] == ["0"]
    assert ours["plugin_opt_sync"] == [yaml.safe_load((CHART / "values.yaml").read_text())["persistence"]["sync"]]
    assert ours["global_plugin"][0] == chart["global_plugin"][0] == str(SQLITE)
    assert "persistence" not in chart
    assert "persistence" not in ours


def test_without_the_plugin_a_snapshot_follows_every_change() -> None:
    ours = options(build_config(Path("/data"), [1883], sqlite=None, as_root=False))
    assert (ours["persistence"], ours["autosave_on_changes"], ours["autosave_interval"]) == (["true"], ["true"], ["1"])
    assert "global_plugin" not in ours


def test_everything_listens_on_the_loopback_alone() -> None:
    ours = options(build_config(Path("/data"), [1884, 1883], sqlite=None, as_root=False))
    assert ours["listener"] == ["1884 127.0.0.1", "1883 127.0.0.1"]
    assert "user" not in ours
    assert options(build_config(Path("/data"), [1], sqlite=None, as_root=True))["user"] == ["root"]


def test_only_the_first_start_keeps_devices_out(tmp_path: Path) -> None:
    first = prepare_mosquitto(OLD, tmp_path, port=1883, ingestion_port=1884)
    assert first.needs_first_session
    assert first.first_program is not None
    assert options(Path(first.first_program.command[-1]).read_text())["listener"] == ["1884 127.0.0.1"]
    assert options(Path(first.program.command[-1]).read_text())["listener"] == ["1884 127.0.0.1", "1883 127.0.0.1"]
    # A run that never got that far changes nothing
    assert prepare_mosquitto(OLD, tmp_path, port=1883, ingestion_port=1884).needs_first_session
    first.note_first_session()
    assert not prepare_mosquitto(OLD, tmp_path, port=1883, ingestion_port=1884).needs_first_session


def test_what_a_version_does_not_promise_is_said() -> None:
    assert find_limits(NEW) == ()
    (sentence,) = find_limits(OLD)
    assert "mosquitto 2.0.11 acknowledges a message before it is on the disk" in sentence
    (sentence,) = find_limits(Mosquitto(NEW.path, NEW.version, None))
    assert "without its SQLite plugin" in sentence


@pytest.mark.parametrize(
    ("says", "version", "has_plugin"),
    [
        ("mosquitto version 2.0.11", (2, 0, 11), False),
        ("mosquitto version 2.1.2\n\nmosquitto is an MQTT broker", (2, 1, 2), True),
    ],
)
def test_the_program_of_the_path_is_found_with_its_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, version: tuple[int, int, int], has_plugin: bool
) -> None:
    plugin = tmp_path / "lib" / "x86_64-linux-gnu" / "mosquitto_persist_sqlite.so"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    program = tmp_path / "sbin" / "mosquitto"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_mosquitto() == Mosquitto(program, version, plugin if has_plugin else None)
