"""Ports for what only this machine asks: probes and metrics of the workers and of ingestion."""

from __future__ import annotations

import itertools
import os
import socket

LOWEST, HIGHEST = 10_000, 14_999
"""Below `iothub.servers.ports`' range: a server that is away for a moment must not find its port taken by a probe's."""

# Where it begins differs from process to process, so that two hubs seldom try the same.
_next = itertools.count(os.getpid() * 97)


def pick_port() -> int:
    """Return a port on which nothing listens; each call another one."""
    for _ in range(HIGHEST - LOWEST):
        port = LOWEST + next(_next) % (HIGHEST - LOWEST + 1)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
    raise OSError(f"no port between {LOWEST} and {HIGHEST} is free")
