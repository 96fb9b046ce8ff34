"""A part of the hub, kept at work: Kafka, the MQTT broker, ingestion.

What ends is started again after growing waits, from where it was: its data and its ports are its own. The Kafka in
memory is the exception: what it held went with it, so its end is the hub's.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from iothub.errors import StartFailed
from iothub.hub.events import Event, Report
from iothub.hub.folder import Folder, bound_log, read_tail
from iothub.hub.leftovers import Notes
from iothub.hub.probes import Probe, watch_liveness
from iothub.hub.processes import Launch, Process
from iothub.hub.waits import Waits
from iothub.servers.program import Program

LITTLE_ROOM = 1024 * 1024
"""So few free bytes are a full disk."""
LOOK_SECONDS = 0.05
"""How often a program that starts is asked whether it is ready; a question waits for the answer to the one before."""


@dataclass(frozen=True)
class Part:
    """How a part stands, for whoever asks."""

    name: str
    kind: str
    """``kafka``, ``mqtt``, ``ingestion``."""
    software: str
    state: str
    """``starting``, ``running``, ``waiting`` (for its next start), ``stopped``."""
    pid: int | None
    restarts: int
    address: str | None


@dataclass(frozen=True)
class Surroundings:
    """What every part on this machine shares."""

    folder: Folder
    notes: Notes
    environment: Mapping[str, str]
    report: Report


@dataclass(frozen=True)
class Liveness:
    """Where and how often a part is asked whether it is alive; a frozen one is killed, and started again."""

    port: int
    probe: Probe


class RunningPart:
    """One program, from its first start to the hub's end."""

    def __init__(
        self,
        program: Program,
        surroundings: Surroundings,
        *,
        kind: str,
        software: str,
        explain_failure: Callable[[Path], str | None] | None = None,
        liveness: Liveness | None = None,
        on_end: Callable[[int], None] | None = None,
    ) -> None:
        """Prepare it. With ``on_end`` its unforeseen end is told there, and it is not started again."""
        self.address: str | None = None
        self._program = program
        self._around = surroundings
        self._kind = kind
        self._software = software
        self._explain_failure = explain_failure
        self._liveness = liveness
        self._on_end = on_end
        self._log = surroundings.folder.part_log(program.name)
        self._process: Process | None = None
        self._state = "starting"
        self._restarts = 0
        self._waits = Waits(time.monotonic)
        self._task: asyncio.Task[None] | None = None

    @property
    def part(self) -> Part:
        """How it stands."""
        pid = self._process.pid if self._process is not None and not self._process.has_ended else None
        return Part(self._program.name, self._kind, self._software, self._state, pid, self._restarts, self.address)

    async def start(self) -> None:
        """Start it and return once it is ready; from then on it is kept at work. Raises StartFailed."""
        process = self._launch()
        if not await self._wait_until_ready(process):
            ended = process.has_ended
            code = await process.wait() if ended else await process.kill()
            raise StartFailed(self._describe_failure(code if ended else None))
        self._state = "running"
        self._task = asyncio.get_running_loop().create_task(self._keep_running(process))
        self._task.add_done_callback(self._see_end)

    async def replace_program(self, program: Program, *, between: Callable[[], None]) -> None:
        """End the program in order, call ``between``, and start another in its place. Raises StartFailed."""
        await self.stop()
        between()
        self._program, self._state = program, "starting"
        await self.start()

    async def wait_until_ready(self) -> None:
        """Return once it is ready, after something that it needs was away. Raises StartFailed."""
        process = self._process
        if process is None or not await self._wait_until_ready(process):
            raise StartFailed(self._describe_failure(None))

    async def stop(self) -> None:
        """End it in order."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._process is not None and not self._process.has_ended:
            self._state = "stopping"
            code = await self._process.stop(self._program.stop_signal, self._program.stop_seconds)
            if code == 128 + signal.SIGKILL:
                sentence = f"{self._program.name} was killed: it had not ended after {self._program.stop_seconds:.0f} s"
                self._around.report(Event(sentence, kind="killed", subject=self._program.name))
        self._state = "stopped"

    def bound_log(self) -> None:
        """Keep its log from growing without end."""
        bound_log(self._log)

    def _launch(self) -> Process:
        environment = {**self._around.environment, **self._program.environment}
        launch = Launch(self._program.name, self._program.command, environment, self._around.folder.path, self._log)
        self._waits.started()
        try:
            self._process = Process(launch, self._around.notes)
        except OSError as error:
            raise StartFailed(f"{self._program.name} can't be started: {error}") from error
        return self._process

    async def _wait_until_ready(self, process: Process) -> bool:
        deadline = time.monotonic() + self._program.start_seconds
        while not process.has_ended and time.monotonic() < deadline:
            if await asyncio.to_thread(self._program.is_ready):
                return not process.has_ended
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def _keep_running(self, process: Process) -> None:
        while True:
            code, why = await self._watch(process)
            if self._on_end is not None:
                self._state = "stopped"
                self._on_end(code)
                return
            process = await self._start_again(why or self._find_cause() or f"it ended with exit code {code}")

    def _see_end(self, task: asyncio.Task[None]) -> None:
        """Tell of a bug of ours: without its keeper the part is not started again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            name = self._program.name
            sentence = f"{name} is not kept at work any more: {type(error).__name__}: {error}"
            self._around.report(Event(sentence, kind="failed", subject=name))

    async def _watch(self, process: Process) -> tuple[int, str | None]:
        """Return the exit code of a program that has ended, and why it was killed where it was."""
        if self._liveness is None:
            return await process.wait(), None
        silent = asyncio.get_running_loop().create_task(watch_liveness(self._liveness.probe, self._liveness.port))
        ended = asyncio.get_running_loop().create_task(process.wait())
        try:
            await asyncio.wait({silent, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result(), None
            return await process.stop(self._program.stop_signal, self._program.stop_seconds), "it was frozen"
        finally:
            silent.cancel()
            ended.cancel()
            await asyncio.gather(silent, ended, return_exceptions=True)

    async def _start_again(self, why: str) -> Process:
        """Start the program until it is ready once more."""
        name = self._program.name
        while True:
            seconds = self._waits.take()
            self._state = "waiting"
            sentence = f"{name} is started again in {seconds:.0f} s: {why}"
            self._around.report(Event(sentence, kind="restarted", subject=name))
            await asyncio.sleep(seconds)
            self._restarts += 1
            self._state = "starting"
            try:
                process = self._launch()
            except StartFailed as error:
                why = str(error)
                continue
            if await self._wait_until_ready(process):
                self._state = "running"
                self._around.report(Event(f"{name} is ready again", kind="ready", subject=name))
                return process
            ended = process.has_ended
            code = await process.wait() if ended else await process.kill()
            why = self._describe_failure(code if ended else None)

    def _describe_failure(self, code: int | None) -> str:
        """Return why a start failed, with what its log tells; ``code`` is None where it took too long."""
        name = self._program.name
        known = self._find_cause()
        if known is not None:
            return known
        what = (
            f"ended with exit code {code}"
            if code is not None
            else f"was not ready in {self._program.start_seconds:.0f} s"
        )
        lines = read_tail(self._log).splitlines()
        said = f": {lines[-1].strip()}" if lines else ""
        return f"{name} {what}{said} (its log is {self._log})"

    def _find_cause(self) -> str | None:
        """Return why the program can't go on, where its log or the disk tells."""
        known = self._explain_failure(self._log) if self._explain_failure is not None else None
        # On a full disk the log itself may have no room for the reason.
        if known is None and _has_little_room(self._around.folder.path):
            return f"the disk of {self._around.folder.path} is full; make room there"
        return known


def _has_little_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LITTLE_ROOM
    except OSError:
        return False  # somebody has removed it: that is told by what fails next
