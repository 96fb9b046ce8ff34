"""A process that a benchmark starts: its log, its CPU time and memory, and an end that can't be missed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from iothub.hub.processes import build_base_environment

ROOT = Path(__file__).parent.parent
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.05
_LOG_LINES = 30


class BenchmarkFailed(Exception):
    """A benchmark could not be measured; the sentence says why."""


class Child:
    """One process in the repository's folder; leaving the ``with`` block ends it.

    ``environment`` is added to this process's own, which goes without the variables that mean something to workers.
    With ``piped`` its standard output is kept for `read_output`; everything else goes into ``log``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        piped: bool = False,
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_find_tie(), *command],
                cwd=ROOT,
                env=build_base_environment(os.environ) | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
            )
        self._measured = psutil.Process(self._process.pid)

    def check(self) -> None:
        """Raise BenchmarkFailed, with the end of its log, where the process is over."""
        if self._process.poll() is not None:
            raise BenchmarkFailed(f"{self.name} ended with {self._process.returncode}{self._read_log()}")

    def measure_cpu(self) -> float:
        """Return the CPU time that it has used, in seconds, all threads together."""
        times = self._measured.cpu_times()
        return float(times.user + times.system)

    def measure_memory(self) -> float:
        """Return its resident set size in MiB."""
        return float(self._measured.memory_info().rss) / (1024 * 1024)

    def read_output(self, seconds: float) -> bytes:
        """Return what it prints until it ends by itself, in order, within ``seconds``. Raises BenchmarkFailed."""
        try:
            output, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(f"{self.name} was not done after {seconds:.0f} s{self._read_log()}") from None
        if self._process.returncode != 0:
            self.check()
        return bytes(output)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that is not enough."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_log(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES:]
        return "".join(f"\n    {line}" for line in lines)


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Return once ``condition`` holds. Raises BenchmarkFailed after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"waited {seconds:.0f} s for {what}")
        time.sleep(_LOOK_SECONDS)


def _find_tie() -> tuple[str, ...]:
    """Return what has the kernel end a child when this process is killed."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()
