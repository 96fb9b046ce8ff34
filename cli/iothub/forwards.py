"""Port-forwards: kubectl's, kept up for as long as a command needs them, and never longer.

A forward that another command of ours keeps up already, for the same pod at the same port, is used along: that is how
two terminals can look into one release, whose Kafka names fixed ports. When that one ends, ours takes its place.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

import psutil

from iothub.errors import Unavailable
from iothub.kubectl import Kubectl
from iothub.servers.ports import LOOPBACK

START_SECONDS = 20.0
_LOOK_SECONDS = 0.1
_MOST_WAIT_SECONDS = 5.0
_END_SECONDS = 3.0
_STEADY_SECONDS = 10.0
"""A forward that held for so long has not failed to start."""
_LISTENS = b"Forwarding from"
"""How kubectl says that it takes connections."""
_MOST_WORDS = 16_384
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Route:
    """From a port of this machine to one of a pod or a Service (``pod/NAME``, ``service/NAME``)."""

    to: str
    port: int
    remote_port: int
    advice: str
    """What to do where another program has the port."""


class Forward:
    """One port-forward."""

    def __init__(self, kubectl: Kubectl, route: Route) -> None:
        self.route = route
        self._command = kubectl.command(
            "port-forward", "--address", LOOPBACK, route.to, f"{route.port}:{route.remote_port}"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._twin: psutil.Process | None = None
        self._said: IO[bytes] | None = None
        self._began = 0.0
        self._failures = 0
        self._next_try = 0.0

    @property
    def is_up(self) -> bool:
        """Whether connections are taken, as kubectl says: to try would make a connection to the pod each time."""
        if self._process is None:
            return self._twin is not None
        return self._process.poll() is None and _LISTENS in self._read_words()

    def keep_up(self) -> None:
        """Start it where it is not up and it is time to. Raises Unavailable where another program has the port."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            self._failures = 1 if now - self._began > _STEADY_SECONDS else self._failures + 1
            self._next_try = now + min(_MOST_WAIT_SECONDS, 0.2 * 2**self._failures)
        if now < self._next_try or (self._twin is not None and self._twin.is_running()):
            return
        self._twin = self._find_twin()
        if self._twin is not None:
            return
        holder = find_holder(self.route.port)
        if holder is not None:
            raise Unavailable(f"port {self.route.port} of this machine is taken by {holder}; {self.route.advice}")
        self._start()

    def last_words(self) -> str:
        """Return what kubectl said last."""
        lines = self._read_words().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "kubectl says nothing"

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for its end, and make it come."""
        if self._process is not None:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._said is not None:
            self._said.close()
            self._said = None

    def _start(self) -> None:
        if self._said is not None:
            self._said.close()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        # A session of its own: Ctrl-C reaches the command, which ends this one when it has done with it.
        self._process = subprocess.Popen(  # noqa: S603
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,
            preexec_fn=_tie_to_us,  # noqa: PLW1509  # one prepared system call, nothing that takes a lock
        )
        self._began = time.monotonic()

    def _read_words(self) -> bytes:
        # By position: the child writes on where it is.
        return b"" if self._said is None else os.pread(self._said.fileno(), _MOST_WORDS, 0)

    def _find_twin(self) -> psutil.Process | None:
        """Return another's process that forwards the very same port."""
        words = self._command[1:]
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                # By the end of its words: kubectl may be a script, or call another kubectl.
                if process.cmdline()[-len(words) :] == words and _same_configuration(process):
                    return process
        return None


class Forwards:
    """Several port-forwards, kept up by a thread between `start` and `end`."""

    def __init__(self, kubectl: Kubectl, routes: Sequence[Route]) -> None:
        self._forwards = [Forward(kubectl, route) for route in routes]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="port-forwards", daemon=True)
        self._problem: Unavailable | None = None

    def start(self) -> None:
        """Start them and return once all of them take connections. Raises Unavailable."""
        for forward in self._forwards:
            forward.keep_up()
        # The kernel ends a child with the thread that started it: this one lasts until `end`.
        self._thread.start()
        self.wait_until(lambda: all(forward.is_up for forward in self._forwards), "the port-forward does not come up")

    def wait_until(self, condition: Callable[[], bool], problem: str) -> None:
        """Wait for a condition that needs the forwards. Raises Unavailable with kubectl's last words."""
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if self._problem is not None:
                raise self._problem
            if time.monotonic() > deadline:
                words = {forward.route.to: forward.last_words() for forward in self._forwards}
                raise Unavailable(f"{problem} ({'; '.join(f'{to}: {said}' for to, said in words.items())})")
            time.sleep(_LOOK_SECONDS)

    def end(self) -> None:
        """End them all."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for forward in self._forwards:
            forward.ask_to_end()
        for forward in self._forwards:
            forward.end()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for forward in self._forwards:
                try:
                    forward.keep_up()
                except Unavailable as problem:
                    # Taken while kubectl was away: it may be free again in a moment.
                    self._problem = problem
                except OSError as error:
                    self._problem = Unavailable(f"kubectl can't be started: {error}")


def find_holder(port: int) -> str | None:
    """Return who has a port of this machine, as far as the kernel tells; None where nobody has."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return name_holder(port)
    return None


def name_holder(port: int) -> str:
    """Return the program that listens on a port, or words for one that can't be seen."""
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"


def _same_configuration(process: psutil.Process) -> bool:
    return process.environ().get("KUBECONFIG") == os.environ.get("KUBECONFIG")


def _prepare_tie() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number = int(signal.SIGTERM)

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return tie


_tie_to_us = _prepare_tie()
