"""TCP ports of this machine's loopback: the usual one where it is free, else one that stays free.

A free port comes from below the kernel's range for outgoing connections: between a server's death and its restart on
the same port, no client socket can be given that port by chance. A chosen port is also locked in the name of this
process, so that two hubs that start at once don't both find it free; the lock goes with the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from iothub.errors import StartFailed

LOOPBACK = "127.0.0.1"

# Above the registered ports of common servers, below Kubernetes' NodePorts (30000) and Linux' ephemeral range (32768).
LOWEST, HIGHEST = 15_000, 29_999

_held: dict[int, int] = {}
"""Ports that this process has chosen, and the descriptors of their locks."""


def choose_port(preferred: int | None, *, fallback: bool, option: str | None = None) -> int:
    """Return ``preferred`` where nothing has it, else, with ``fallback``, a free port.

    Raises StartFailed that says what is wrong with ``preferred``, and names the ``option`` that takes another.
    """
    if preferred is None:
        return free_port()
    problem = find_problem(preferred)
    if problem is None:
        return preferred
    if fallback:
        return free_port()
    advice = f", or choose another with {option}" if option else ", or choose another"
    raise StartFailed(f"port {preferred} {problem}{advice}")


def free_port() -> int:
    """Return a port that nothing has, and that was not given out before in this process."""
    for _ in range(1_000):
        port = random.SystemRandom().randint(LOWEST, HIGHEST)
        if port not in _held and find_problem(port) is None:
            return port
    raise StartFailed(f"no port between {LOWEST} and {HIGHEST} is free on {LOOPBACK}")


def find_problem(port: int) -> str | None:
    """Return what keeps a server of ours from listening on ``port``, or None and the port is ours."""
    taken = "is taken by another program; free it"
    with socket.socket() as probe:
        # As servers do: a port on which connections of the last run are still fading out counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return taken
            return f"can't be listened on: {error.strerror}"
    # Some systems let a program bind to one address beside another that has them all.
    return None if not is_open(port) and _hold(port) else taken


def is_open(port: int, host: str = LOOPBACK) -> bool:
    """Return whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def _hold(port: int) -> bool:
    """Lock ``port`` until this process ends; return False where another process has it locked."""
    if port in _held:
        return True
    folder = Path(tempfile.gettempdir()) / f"iot-hub-ports-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return True  # no place for locks: a race between two hubs is then told by the server that comes second
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    _held[port] = lock
    return True
