"""Free TCP ports that stay free while a server is away.

Ports come from below the kernel's range for outgoing connections: between a server's SIGKILL and its restart on the
same port, no client socket can be given that port by chance.
"""

from __future__ import annotations

import random
import socket

__all__ = ["free_port", "is_open"]

# Above the registered ports of common servers, below Kubernetes' NodePorts (30000) and Linux' ephemeral range (32768).
LOWEST, HIGHEST = 15_000, 29_999

_given: set[int] = set()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens and that was not given out before in this process."""
    for _ in range(1_000):
        port = random.SystemRandom().randint(LOWEST, HIGHEST)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
