"""mosquitto of this machine as a program: its version, its configuration, and what it promises.

The configuration is that of charts/iot-hub/charts/mqtt, open to everyone on the loopback in place of accounts: devices
on one listener, ingestion on another. A broker without a subscriber acknowledges and drops, so the very first run has
only ingestion's listener, until ingestion's session exists.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iothub.errors import StartFailed
from iothub.servers.failures import Cause, explain, read_last_run
from iothub.servers.ports import LOOPBACK, is_open
from iothub.servers.program import Program
from iothub.servers.server import MqttServer

MAX_PACKET_BYTES = 10 * 1024 * 1024 + 64 * 1024
"""10 MiB of payload, and room for topic and properties."""
MAX_INFLIGHT = 1000
MAX_INFLIGHT_BYTES = 1024 * 1024
"""At its memory's limit a broker has no room to send more: it would throw out whoever comes to work it off."""
MEMORY_MIB = 512

_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
_SQLITE_SINCE = (2, 1)
_SQLITE_PLUGIN = "mosquitto_persist_sqlite.so"
_SESSION_MADE = "session-made"
_ANSWER_SECONDS = 30

_CAUSES = (
    Cause(
        re.compile(r"listen socket on port (\d+)\.\n(?:[^\n]*\n)?[^\n]*Address already in use"),
        "port {0} is taken by another program; free it, or choose another with --mqtt-port",
    ),
    Cause(
        re.compile(r"No space left on device|database or disk is full"),
        "the disk that holds the MQTT broker's data is full; make room, or start over with --fresh",
    ),
    Cause(
        re.compile(r"Unable to load (?:plugin|auth plugin) \"?([^\s\"]+)"),
        "mosquitto can't load its plugin {0}; reinstall mosquitto, or use --mqtt amqtt",
    ),
    Cause(
        re.compile(
            r"Unsupported persistent database format|Error restoring persistent database|file is not a database"
        ),
        "the MQTT broker's data is of another version of mosquitto, or damaged; start over with --fresh",
    ),
    Cause(
        re.compile(r"(?:Permission denied|unable to open database file|Unable to open log file)"),
        "mosquitto may not write its data; give the folder back to your user, or start over with --fresh",
    ),
)
_RUN_BEGINS = re.compile(r"mosquitto version \S+ (?:\(.*\) )?starting")


@dataclass(frozen=True)
class Mosquitto:
    """A mosquitto of this machine. ``sqlite`` is its persistence plugin, where version and installation have one."""

    path: Path
    version: tuple[int, int, int]
    sqlite: Path | None

    def __str__(self) -> str:
        return f"mosquitto {'.'.join(map(str, self.version))}"


def find_mosquitto() -> Mosquitto | None:
    """Return the mosquitto of the PATH, or None where there is none that tells its version."""
    # Debian keeps servers in sbin, which an ordinary user's PATH leaves out.
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_SBIN)
    if found is None:
        return None
    try:
        # `mosquitto -h` prints its version first (and ends with 3 before 2.1).
        done = subprocess.run(  # noqa: S603  # the user's own mosquitto
            [found, "-h"], capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = re.search(r"mosquitto version (\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
    if said is None:
        return None
    version = (int(said[1]), int(said[2]), int(said[3]))
    return Mosquitto(Path(found), version, _find_sqlite(Path(found)) if version >= _SQLITE_SINCE else None)


def _find_sqlite(program: Path) -> Path | None:
    prefixes = dict.fromkeys((program.parent.parent, program.resolve().parent.parent, Path("/usr"), Path("/usr/local")))
    for prefix in prefixes:
        for folder in ("lib", "lib64", "lib/*", "lib/*/mosquitto"):
            for found in sorted(prefix.glob(f"{folder}/{_SQLITE_PLUGIN}")):
                return found
    return None


def prepare_mosquitto(mosquitto: Mosquitto, folder: Path, *, port: int, ingestion_port: int) -> MqttServer:
    """Write the configuration into ``folder``, and return what to run. Raises StartFailed."""
    data = folder / "data"
    try:
        data.mkdir(parents=True, exist_ok=True)
        for name, ports in (("first.conf", [ingestion_port]), ("mosquitto.conf", [ingestion_port, port])):
            text = build_config(data, ports, sqlite=mosquitto.sqlite, as_root=os.geteuid() == 0)
            (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise StartFailed(f"the MQTT broker's folder {folder} can't be used: {error.strerror or error}") from error
    mark = folder / _SESSION_MADE
    usual = _describe_program(mosquitto, folder / "mosquitto.conf", [ingestion_port, port])
    first = None if mark.exists() else _describe_program(mosquitto, folder / "first.conf", [ingestion_port])
    return MqttServer(
        program=usual,
        port=port,
        ingestion_port=ingestion_port,
        version=5,
        software=str(mosquitto),
        explain_failure=explain_failure,
        first_program=first,
        note_first_session=mark.touch,
        limits=find_limits(mosquitto),
    )


def build_config(data: Path, ports: Sequence[int], *, sqlite: Path | None, as_root: bool) -> str:
    """Return mosquitto.conf: its listeners on the loopback, and its data in ``data``."""
    lines = ["log_dest stdout", "log_timestamp_format %Y-%m-%dT%H:%M:%S", f"persistence_location {data}/"]
    if sqlite is not None:
        # SQLite, written before the acknowledgement goes out.
        lines += [f"global_plugin {sqlite}", "plugin_opt_flush_period 0", "plugin_opt_sync full"]
    else:
        # A snapshot after every change, which is still after the acknowledgement.
        lines += ["persistence true", "autosave_on_changes true", "autosave_interval 1"]
    lines += [
        f"max_packet_size {MAX_PACKET_BYTES}",
        f"max_inflight_messages {MAX_INFLIGHT}",
        f"max_inflight_bytes {MAX_INFLIGHT_BYTES}",
        # No limit by number or bytes: beyond those, mosquitto acknowledges and drops. At the memory's it refuses.
        "max_queued_messages 0",
        "max_queued_bytes 0",
        f"memory_limit {MEMORY_MIB * 1024 * 1024}",
        "allow_anonymous true",
    ]
    if as_root:
        # Started by root it becomes the user `mosquitto`, who can't write into root's folders.
        lines.append("user root")
    lines += [f"listener {port} {LOOPBACK}" for port in ports]
    return "\n".join(lines) + "\n"


def find_limits(mosquitto: Mosquitto) -> tuple[str, ...]:
    """Return what this mosquitto does not promise, as sentences for the screen."""
    if mosquitto.sqlite is not None:
        return ()
    since = ".".join(map(str, _SQLITE_SINCE))
    better = "without its SQLite plugin" if mosquitto.version >= _SQLITE_SINCE else f"before {since}"
    return (
        f"{mosquitto} acknowledges a message before it is on the disk, as every version {better} does: "
        "where it is killed, the newest messages can be lost. It writes all that waits anew with every change, so it "
        "slows down while ingestion or Kafka is away.",
    )


def explain_failure(log: Path) -> str | None:
    """Return why the last run of mosquitto, whose output is in ``log``, did not start, or None."""
    return explain(read_last_run(log, _RUN_BEGINS), _CAUSES)


def _describe_program(mosquitto: Mosquitto, config: Path, ports: Sequence[int]) -> Program:
    return Program(
        name="mqtt",
        command=(str(mosquitto.path), "-c", str(config)),
        is_ready=lambda: all(is_open(port) for port in ports),
        start_seconds=30,
        stop_seconds=15,
    )
