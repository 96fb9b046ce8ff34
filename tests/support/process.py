"""A server process that a test owns: its log is kept, and it never outlives the test run.

Three things see to its end: the fixture's ``stop``; a process group of its own, so that what it started goes with it
and a Ctrl-C on the terminal reaches pytest first; and, on Linux, the kernel's parent-death signal (``setpriv
--pdeathsig``), which holds even where pytest itself is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["ServerProcess"]

# The parent-death signal follows the *thread* that started the child. A test may restart a server from a short-lived
# thread, so all children are started from this one, which lives as long as the interpreter.
_starter = ThreadPoolExecutor(1, thread_name_prefix="server-starter")


def _tied_to_us(arguments: Sequence[str]) -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *arguments] if setpriv else list(arguments)


class ServerProcess:
    """One program that can be started, stopped, killed and started again; its output is appended to one log file."""

    running: ClassVar[list[ServerProcess]] = []
    """Every process that is up, so that a failing test can show their logs."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self._arguments = list(arguments)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id; an error where it is not running."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} is not running\n{self.log_tail()}")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is up."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the last run ended; None while it runs or where it never ran."""
        return None if self._process is None else self._process.poll()

    def start(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Start the program and wait until ``ready`` says so; where it dies or the time is over, stop it and raise."""
        if self.is_running:
            raise RuntimeError(f"{self.name} runs already (pid {self.pid})")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = _starter.submit(
                subprocess.Popen[bytes],
                _tied_to_us(self._arguments),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            ).result()
        self.running.append(self)

        def up_or_dead() -> bool:
            return not self.is_running or ready()

        try:
            wait_until(up_or_dead, timeout=timeout, what=f"{self.name} to be ready", hint=self.log_tail)
            if not self.is_running:
                raise RuntimeError(f"{self.name} ended with {self.returncode} while starting\n{self.log_tail()}")
        except BaseException:
            self.kill()
            raise

    def stop(self, *, timeout: float = 30.0) -> int | None:
        """End it with SIGTERM, with SIGKILL where that takes longer than ``timeout``; return its exit code."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._signal_group(signal.SIGKILL)
        return self._reap()

    def kill(self) -> int | None:
        """End it with SIGKILL, as a power cut or the kernel's memory killer would; return its exit code."""
        if self.is_running:
            self._signal_group(signal.SIGKILL)
        return self._reap()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        self._signal_group(signal.SIGCONT)

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of its log."""
        if not self.log.exists():
            return f"({self.name} has written no log)"
        text = self.log.read_text("utf-8", "replace").splitlines()
        return f"--- {self.name}: last lines of {self.log}\n" + "\n".join(text[-lines:])

    def _signal_group(self, number: signal.Signals) -> None:
        os.killpg(self.pid, number)

    def _reap(self) -> int | None:
        if self._process is None:
            return None
        code = self._process.wait(30)
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self in self.running:
            self.running.remove(self)
        return code
