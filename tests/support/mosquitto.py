"""A real mosquitto as a process that tests start, stop, kill and restart on the same persistence folder.

From the PATH where it is installed; else, or where a later version is asked for, from the container image where a
Docker engine runs. A test that depends on the version reads ``Mosquitto.version``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self

from support import require
from support.ports import free_port, is_open
from support.process import ServerProcess

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["IMAGE", "OPEN_CONFIG", "Mosquitto", "MosquittoProgram", "find_mosquitto"]

IMAGE = os.environ.get("MOSQUITTO_IMAGE", "eclipse-mosquitto:2.1.2-alpine")

OPEN_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {data}/
autosave_interval 1
max_inflight_messages 1000
max_queued_messages 0
max_packet_size 12000000
"""
"""Open to anyone on 127.0.0.1, queues without a limit, snapshots each second: what most tests need."""

REMEDY = f"install mosquitto (Debian: apt-get install mosquitto) or start a Docker engine that has or can pull {IMAGE}"

# Runs the broker beside a reader of standard input, and ends with either: a `docker run` client that is killed leaves
# its container running, but its end of the pipe closes. A shell that is process 1 ignores SIGTERM unless it traps it.
CONTAINER_SCRIPT = """
exec 3<&0
"$0" -c "$1" </dev/null & broker=$!
(cat <&3 >/dev/null; kill -KILL $broker) & reader=$!
trap 'kill -TERM $broker' TERM
wait $broker; wait $broker; code=$?
kill $reader
exit $code
"""


@dataclass(frozen=True)
class MosquittoProgram:
    """A way to run mosquitto: ``image`` is None for a program of this machine."""

    version: tuple[int, int, int]
    path: str
    image: str | None = None

    def __str__(self) -> str:
        return f"mosquitto {'.'.join(map(str, self.version))} ({self.image or self.path})"


def find_mosquitto(minimum: tuple[int, ...] = (2, 0)) -> MosquittoProgram:
    """Return the first of PATH and image that is ``minimum`` or later, or skip (CI: fail) by name."""
    # One after the other: the image is asked for only where the PATH has no answer.
    for find in (_installed, _from_image):
        program = find()
        if program is not None and program.version >= minimum:
            return program
    return require.missing(f"mosquitto {'.'.join(map(str, minimum))} or later", REMEDY)


@cache
def _installed() -> MosquittoProgram | None:
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    return _ask([path], path) if path else None


@cache
def _from_image() -> MosquittoProgram | None:
    docker = _docker()
    if docker is None:
        return None
    return _ask([docker, "run", "--rm", "--network=none", "--entrypoint=mosquitto", IMAGE], "mosquitto", IMAGE)


@cache
def _docker() -> str | None:
    docker = os.environ.get("DOCKER") or shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False, timeout=60).returncode != 0:
        return None
    return docker


def _ask(start: list[str], path: str, image: str | None = None) -> MosquittoProgram | None:
    # `mosquitto -h` prints its version first (and ends with 3 before 2.1).
    done = subprocess.run([*start, "-h"], capture_output=True, text=True, check=False, timeout=300)
    found = re.search(r"mosquitto version (\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
    return MosquittoProgram((int(found[1]), int(found[2]), int(found[3])), path, image) if found else None


class Mosquitto:
    """One broker. ``config`` is its configuration, in which these stand for values known only here:

    ``{port}`` a free port (``self.port``), ``{port2}`` another one (``self.port2``), ``{data}`` a folder that outlives
    restarts (``self.data``), ``{folder}`` the folder above it (for password files and the like).
    """

    def __init__(self, folder: Path, config: str = OPEN_CONFIG, *, minimum: tuple[int, ...] = (2, 0)) -> None:
        self.program = find_mosquitto(minimum)
        self.version = self.program.version
        self.host = "127.0.0.1"
        self.port = free_port()
        self.port2 = free_port()
        self.folder = folder
        self.data = folder / "data"
        self._config = config
        self._file = folder / "mosquitto.conf"
        self._container = f"iot-hub-test-{uuid.uuid4().hex[:12]}"
        self.process = ServerProcess(f"mosquitto-{self.port}", self._command(), log=folder / "mosquitto.log")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, timeout: float = 30.0) -> None:
        """Write its configuration, start it and wait until its ``{port}`` accepts connections."""
        self.data.mkdir(parents=True, exist_ok=True)
        text = self._config
        for key, value in {"port": self.port, "port2": self.port2, "data": self.data, "folder": self.folder}.items():
            text = text.replace(f"{{{key}}}", str(value))
        if os.geteuid() == 0:
            # Started by root it becomes the user `mosquitto`, who can't write into root's folders.
            text += "\nuser root\n"
        self._file.write_text(text, "utf-8")
        self.process.start(lambda: is_open(self.port), timeout=timeout)

    def stop(self, *, timeout: float = 15.0) -> None:
        """Shut it down in order (SIGTERM): it writes its persistence."""
        # The docker client hands the signal on to the container.
        self.process.stop(timeout=timeout)
        self._remove_container()

    def kill(self) -> None:
        """SIGKILL it; ``start`` brings it back with what was on disk."""
        self._remove_container()
        self.process.kill()

    def restart(self, *, timeout: float = 30.0) -> None:
        """Stop it in order and start it on the same data and port."""
        self.stop()
        self.start(timeout=timeout)

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        if self.program.image:
            self._docker("pause")
        else:
            self.process.pause()

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        if self.program.image:
            self._docker("unpause")
        else:
            self.process.resume()

    def _command(self) -> list[str]:
        if self.program.image is None:
            return [self.program.path, "-c", str(self._file)]
        return [
            *(_docker() or "docker", "run", "--rm", "-i", "--network=host", f"--name={self._container}"),
            *(f"--user={os.geteuid()}:{os.getegid()}", f"--volume={self.folder}:{self.folder}"),
            *("--entrypoint=sh", self.program.image, "-c", CONTAINER_SCRIPT, self.program.path, str(self._file)),
        ]

    def _remove_container(self) -> None:
        # `rm --force` is a SIGKILL of everything in it, and returns only when its name is free again.
        if self.program.image:
            self._docker("rm", "--force")

    def _docker(self, verb: str, *arguments: str) -> None:
        call = [_docker() or "docker", verb, *arguments, self._container]
        subprocess.run(call, capture_output=True, check=False, timeout=60)
