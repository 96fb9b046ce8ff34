"""Asking a process how it is, over HTTP, without a thread for each question."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Probe:
    """When to ask and how much silence to bear, as a pod's manifest says it; the fields are Kubernetes'."""

    path: str
    period_seconds: float
    timeout_seconds: float
    failure_threshold: int

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Probe:
        """Return the probe that a container's manifest holds."""
        return cls(
            path=manifest["httpGet"]["path"],
            period_seconds=manifest.get("periodSeconds", 10),
            timeout_seconds=manifest.get("timeoutSeconds", 1),
            failure_threshold=manifest.get("failureThreshold", 3),
        )


def is_answering(port: int, path: str, timeout: float = 2.0) -> bool:
    """Return whether ``path`` on this machine answers with success; for programs that are asked on a thread."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


async def ask(port: int, path: str, timeout: float) -> bool:
    """Return whether ``path`` on this machine answers with success in time."""
    writer = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            status_line = await reader.readline()
            await reader.read()
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
    parts = status_line.split()
    return len(parts) > 1 and parts[1].startswith(b"2")


async def wait_until_answering(ask_once: Callable[[], Awaitable[bool]], every: float, seconds: float) -> bool:
    """Ask again and again until it says yes. Returns False where it has not after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not await ask_once():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(every)
    return True


async def watch_liveness(probe: Probe, port: int) -> None:
    """Return once the process has been silent for as long as ``probe`` bears."""
    failures = 0
    while failures < probe.failure_threshold:
        await asyncio.sleep(probe.period_seconds)
        failures = 0 if await ask(port, probe.path, probe.timeout_seconds) else failures + 1
