"""Load for an HTTP service: connections that are kept alive, each of which sends again once it has its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import cast

import uvloop

from benchmarks.child import BenchmarkFailed
from benchmarks.messages import build_pool


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run gave."""

    rate: float
    """Requests a second."""
    p50: float
    """Latency in seconds, and so below."""
    p99: float
    cpu_seconds: float
    """CPU time of the service for one request."""


class Device(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: list[bytes], first: int, latencies: list[float]) -> None:
        self._requests = islice(cycle(requests), first, None)
        self._latencies = latencies
        self._transport: asyncio.Transport
        self._answer = b""
        self._sent = 0.0
        self.problem: str | None = None
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or not body.endswith(b"}"):
            return
        self._latencies.append(time.perf_counter() - self._sent)
        if not head.startswith(b"HTTP/1.1 202"):
            self.problem = self._answer.decode("latin-1")
            self.is_over = True
        self._answer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_over:
            self.problem = f"the connection was lost: {exc}"

    def _send(self) -> None:
        if self.is_over:
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))


def build_requests(batch: int) -> list[bytes]:
    """Return requests of ``batch`` messages each; 1 is an object by itself."""
    pool = [sent.record.value for sent in build_pool()]
    if batch == 1:
        bodies = pool
    else:
        bodies = [b"[" + b",".join(pool[at : at + batch]) + b"]" for at in range(0, len(pool) - batch + 1, batch)]
    head = b"POST /v1/telemetry HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: "
    return [head + b"%d\r\n\r\n" % len(body) + body for body in bodies]


def apply_load(
    port: int, *, connections: int, batch: int, warm_up: float, seconds: float, read_cpu: Callable[[], float]
) -> Reading:
    """Send for ``seconds`` after a warm-up and return what came of it; ``read_cpu`` gives the service's CPU time.

    Raises BenchmarkFailed for any other answer than 202.
    """
    return uvloop.run(_apply_load(port, connections, build_requests(batch), warm_up, seconds, read_cpu))


async def _apply_load(
    port: int, connections: int, requests: list[bytes], warm_up: float, seconds: float, read_cpu: Callable[[], float]
) -> Reading:
    loop, latencies = asyncio.get_running_loop(), list[float]()
    devices = [Device(requests, number * 7, latencies) for number in range(connections)]
    for device in devices:
        await loop.create_connection(lambda device=device: device, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(warm_up)
    latencies.clear()
    started, cpu = time.perf_counter(), read_cpu()
    await asyncio.sleep(seconds)
    found, took, cpu = sorted(latencies), time.perf_counter() - started, read_cpu() - cpu
    problems = [device.problem for device in devices if device.problem is not None]
    for device in devices:
        device.is_over = True
    if problems or not found:
        raise BenchmarkFailed(problems[0] if problems else "not one answer came")
    number = len(found)
    return Reading(number / took, found[number // 2], found[number * 99 // 100], cpu / number)
