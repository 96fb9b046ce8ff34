"""An HTTP server as a process of ours has it, with an intake in memory whose answers the test gives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import orjson

from ingestion.api_keys import WatchedKeys
from ingestion.deliveries import AckPump
from ingestion.http_app import HttpApp
from ingestion.http_server import HttpServer
from ingestion.http_settings import HttpSettings
from ingestion.intake import Intake, OnTaken
from ingestion.record import RawRecord
from telemetry.errors import DeliveryError, QueueFull

PATIENCE = 10.0


class MemoryIntake:
    """Takes everything at once; `holds` keeps the answers back until `release`; ``room`` is how much fits."""

    def __init__(self) -> None:
        self.records: list[RawRecord] = []
        self.holds = False
        self.room: int | None = None
        self.refusal: DeliveryError | None = None
        self.fatal_error: str | None = None
        self._waiting: list[OnTaken] = []

    def submit_all(self, records: Iterable[RawRecord], on_taken: Callable[[int, DeliveryError | None], None]) -> None:
        for place, record in enumerate(records):
            if self.room is not None and len(self.records) >= self.room:
                on_taken(place, QueueFull("full"))
            else:
                self.records.append(record)
                self._waiting.append(partial(on_taken, place))

    def poll(self, timeout: float) -> None:
        if not self.holds:
            self.release()

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for on_taken in waiting:
            on_taken(self.refusal)

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def values(self) -> list[bytes]:
        return [record.value for record in self.records]


@dataclass
class Reply:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def kind(self) -> str:
        """The last part of a problem's type."""
        return str(self.json["type"]).rpartition(":")[2]


class Device:
    """A connection that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    def post(self, body: bytes, path: str = "/v1/telemetry", **headers: str) -> None:
        given = {"Host": "hub", "Content-Type": "application/json", "Content-Length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.say(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"), body)

    async def read(self, *, has_body: bool = True) -> Reply:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = int(headers["content-length"]) if has_body and "content-length" in headers else 0
            return Reply(int(status.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, body: bytes, path: str = "/v1/telemetry", **headers: str) -> Reply:
        self.post(body, path, **headers)
        return await self.read()

    async def is_closed(self) -> bool:
        """Wait for the server's end of the connection; what it says before that is an error."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""


class Hub:
    """A running server."""

    def __init__(self, intake: MemoryIntake, port: int, stop: asyncio.Event) -> None:
        self.intake = intake
        self.port = port
        self.stop = stop
        self.devices: list[Device] = []
        self.cut_off: int | None = None

    async def connect(self) -> Device:
        device = Device(*await asyncio.open_connection("127.0.0.1", self.port))
        self.devices.append(device)
        return device


@asynccontextmanager
async def running(
    keys: WatchedKeys | None = None, grace: float = 5.0, farewell: float = 0.0, **settings: Any
) -> AsyncIterator[Hub]:
    """Run a server with these settings."""
    given, intake = HttpSettings(**settings), MemoryIntake()
    pump = AckPump(cast("Intake", intake), lambda why: stop.set())
    app = HttpApp(given, cast("Intake", intake), pump, keys)
    stop = asyncio.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    hub = Hub(intake, listener.getsockname()[1], stop)
    serving = asyncio.create_task(HttpServer(app, given, listener, farewell=farewell).serve(stop, grace))
    try:
        yield hub
        stop.set()
        hub.cut_off = await serving
    finally:
        serving.cancel()
        pump.close()
        for device in hub.devices:
            device.writer.close()
        await asyncio.sleep(0)
