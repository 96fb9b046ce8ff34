"""A process of the hub: a group of its own, its output in one log, and an end that can't be missed.

It gets SIGTERM when the hub dies without a word, where the kernel and ``setpriv`` know how (Linux). What that misses,
`iothub.hub.leftovers` ends before the next start.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from iothub.hub.folder import begin_log
from iothub.hub.leftovers import Notes
from iothub.hub.threads import run_on_own_thread

_OURS = ("KAFKA_", "CONSUMER_", "INGESTION_", "MQTT_", "TOPICS_", "OPERATOR_", "LOG_", "HTTP_PORT", "TERMINATION_LOG")
"""Variables that mean something to what we start: they are the hub's to set, not the terminal's."""


def build_base_environment(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of ``outer`` that every process gets.

    PYTHONPATH keeps its meaning in another folder, and output comes line by line, whoever buffers.
    """
    kept = {name: value for name, value in outer.items() if not name.upper().startswith(_OURS)}
    path = kept.get("PYTHONPATH")
    if path:
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(part).resolve()) for part in path.split(os.pathsep))
    return kept | {"PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Launch:
    """What to start: ``environment`` is all that it gets, ``folder`` where it runs."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path


class Process:
    """One run of a program."""

    def __init__(self, launch: Launch, notes: Notes) -> None:
        """Start it. Raises OSError where that can't be done."""
        begin_log(launch.log)
        self._notes = notes
        with launch.log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603
                [*_find_tie(), *launch.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(launch.environment),
                cwd=launch.folder,
                start_new_session=True,
            )
        notes.add(launch.name, self.pid)
        self._waiting = asyncio.get_running_loop().create_task(self._wait())

    @property
    def pid(self) -> int:
        """Its process id, and its group's."""
        return self._popen.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self._waiting.done()

    async def wait(self) -> int:
        """Return its exit code once it has ended; a signal's is 128 and its number, as a shell and the kubelet say."""
        return await asyncio.shield(self._waiting)

    async def stop(self, number: signal.Signals, seconds: float) -> int:
        """Ask it to end, kill it where that takes longer than ``seconds``, and return its exit code."""
        self._signal(number)
        self._signal(signal.SIGCONT)  # a frozen one does not hear the first
        try:
            return await asyncio.wait_for(self.wait(), seconds)
        except TimeoutError:
            return await self.kill()
        except asyncio.CancelledError:
            self._signal(signal.SIGKILL)
            raise

    async def kill(self) -> int:
        """End it at once, and return its exit code."""
        self._signal(signal.SIGKILL)
        return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if not self.has_ended:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def _wait(self) -> int:
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            # Not Linux, or an old one.
            code = await run_on_own_thread(self._popen.wait)
        else:
            await _wait_for_descriptor(descriptor)
            # What it has started goes with it; it is not reaped yet, so the group's id is still its own.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            code = self._popen.wait()
        self._notes.remove(self.pid)
        return code if code >= 0 else 128 - code


async def _wait_for_descriptor(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if readable.done() else readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


@cache
def _find_tie() -> tuple[str, ...]:
    """Return what has a program told by the kernel when we are gone. The kernel's "we" is the thread that starts it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    # Not every setpriv knows how: busybox has a smaller one.
    asked = subprocess.run([setpriv, "--help"], capture_output=True, check=False)  # noqa: S603
    return (setpriv, "--pdeathsig", "TERM", "--") if b"--pdeathsig" in asked.stdout else ()
