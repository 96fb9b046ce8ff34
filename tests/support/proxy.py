"""A TCP proxy between two of the processes, for the faults of a network: cut, silence, and slowness.

It needs no root and no other program. Cutting resets both sides wherever in a packet they are, as a router that
restarts does; a silent connection stays open, and nothing goes through it, as when a cable is pulled.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self, TypeVar

from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

__all__ = ["Proxy"]

T = TypeVar("T")

_CHUNK = 16 * 1024
_AHEAD = 64
"""Pieces of an answer that may be under way at once, where answers are late."""
_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER, on, with no time at all: closing resets."""


class Proxy:
    """Listens on ``port`` and passes on to ``upstream``, a port of ``host``, which may be set later."""

    def __init__(self, upstream: int | None = None, *, host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.upstream = upstream
        self.host = host
        self.bytes_per_second: float | None = None
        """How fast what clients send goes through each connection; None is without a limit. Answers have none."""
        self.delay: tuple[float, float] | None = None
        """Least and most seconds that each piece of an answer is late; None is at once. Their order stays."""
        self.plan = ""
        """What is left of the one that `hang_up` was given."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._speaks = asyncio.Event()
        self._stranded: list[asyncio.Event] = []
        self._writers: dict[asyncio.StreamWriter, None] = {}
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._speaks.set()
        self._call(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many connections go through it."""
        return len(self._writers) // 2

    def cut(self) -> int:
        """Reset every connection, both of its sides at once; return how many. New ones may come."""
        return self._call(self._cut())

    def hang_up(self, plan: str) -> None:
        """Reset every connection, and, upon accepting it, each next one for which ``plan`` has an ``x``.

        A dot in it lets one through. So does a balancer that has nobody behind it, or now and then somebody.
        """
        self.plan = plan
        self.cut()

    def refuse(self) -> None:
        """Reset every connection and listen no more, until `listen`: nobody is there."""
        self._call(self._refuse())

    def listen(self) -> None:
        """Listen again after `refuse`."""
        self._call(self._open())

    def silence(self) -> None:
        """Let nothing through, in either direction, until `speak`; new connections are accepted, and silent too."""
        self._loop.call_soon_threadsafe(self._speaks.clear)

    def speak(self) -> None:
        """End the silence. What was sent meanwhile goes through, where its sender still waits."""
        self._loop.call_soon_threadsafe(self._speaks.set)

    def strand(self) -> int:
        """Let nothing through the connections that there are, for ever and without a word; return how many.

        New ones are well. So does a router that has forgotten its table of connections.
        """
        return self._call(self._strand())

    def _call(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _close(self) -> None:
        await self._refuse()
        for event in (self._speaks, *self._stranded):
            event.set()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    async def _cut(self) -> int:
        count = self.connections
        for writer in self._writers:
            _reset(writer)
        return count

    async def _strand(self) -> int:
        stranded, self._speaks = self._speaks, asyncio.Event()
        self._speaks.set()
        stranded.clear()
        self._stranded.append(stranded)
        return self.connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fate, self.plan = self.plan[:1], self.plan[1:]
        if fate == "x":
            _reset(writer)
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(self.host, self.upstream)
        except OSError:
            _reset(writer)
            return
        speaks, ends = self._speaks, (writer, server_writer)
        self._writers |= dict.fromkeys(ends)
        try:
            # Where one way breaks, so does the other: the reset goes on to whoever has not had it.
            async with asyncio.TaskGroup() as ways:
                late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_AHEAD)
                ways.create_task(self._pass_questions(reader, server_writer, speaks))
                ways.create_task(self._take_answers(server_reader, late))
                ways.create_task(self._pass_answers(late, writer, speaks))
        except* OSError:
            for end in ends:
                _reset(end)
        finally:
            for end in ends:
                self._writers.pop(end, None)
                end.close()

    async def _pass_questions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speaks: asyncio.Event
    ) -> None:
        while data := await reader.read(_CHUNK):
            await speaks.wait()
            if self.bytes_per_second:
                await asyncio.sleep(len(data) / self.bytes_per_second)
            await _write(writer, data)
        await speaks.wait()
        await _write(writer, b"")

    async def _take_answers(self, reader: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Note of each piece when it may go on, so that a later one waits beside it, not behind it."""
        data = b"?"
        while data:
            data = await reader.read(_CHUNK)
            delay = random.uniform(*self.delay) if self.delay is not None else 0.0
            await late.put((self._loop.time() + delay, data))

    async def _pass_answers(
        self, late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, speaks: asyncio.Event
    ) -> None:
        data = b"?"
        while data:
            due, data = await late.get()
            if due > self._loop.time():
                await asyncio.sleep(due - self._loop.time())
            await speaks.wait()
            await _write(writer, data)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Pass a piece on; an empty one is the end."""
    if data:
        writer.write(data)
        await writer.drain()
    elif not writer.is_closing():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    if not writer.is_closing() and end is not None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
