"""The server of the HTTP side: its listener, its connections, how many and for how long, and its end in order."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import OrderedDict
from email.utils import formatdate

from ingestion.http_app import HttpApp
from ingestion.http_connection import HttpConnection
from ingestion.http_metrics import LIMITED, OPEN_CONNECTIONS
from ingestion.http_settings import HttpSettings

_SWEEP = 0.25
"""Seconds between two looks at the deadlines, which are whole seconds and more; the header Date is as fresh."""
_LOOK = 0.02
_FAREWELL = 1.0
"""Seconds that idle connections stay open at the end. A device that sends often hears within them that it is the end;
closed at once, one in some ten thousand requests would meet a closed door."""
BACKLOG = 2048
"""Connections that wait to be accepted."""
_LIMITED = {outcome: LIMITED.labels(outcome) for outcome in ("made_room", "refused", "cut_off")}
MOST_REFUSED = 64
"""Connections beyond the limit that are told so at a time; further ones are closed without a word."""


class HttpServer:
    """Serves ``app`` on ``listener``, which it closes."""

    def __init__(
        self, app: HttpApp, settings: HttpSettings, listener: socket.socket, *, farewell: float = _FAREWELL
    ) -> None:
        self._app = app
        self._settings = settings
        self._listener = listener
        self._farewell = farewell
        self.connections: set[HttpConnection] = set()
        self._idle: OrderedDict[HttpConnection, None] = OrderedDict()
        """Those that ask for nothing now, the longest idle one first."""
        self.is_stopping = False
        self.date_line = _build_date_line()
        OPEN_CONNECTIONS.set_function(lambda: len(self.connections))

    def admit(self, connection: HttpConnection) -> None:
        """Take a new connection; where there are too many, in place of the one that has been idle for longest."""
        self.connections.add(connection)
        too_many = len(self.connections) - self._settings.max_connections
        if too_many <= 0:
            connection.begin()
        elif self._idle:
            _LIMITED["made_room"].inc()
            longest_idle, _ = self._idle.popitem(last=False)
            longest_idle.make_room()
            connection.begin()
        elif too_many <= MOST_REFUSED:
            _LIMITED["refused"].inc()
            connection.refuse()
        else:
            _LIMITED["cut_off"].inc()
            connection.cut_off()

    def forget(self, connection: HttpConnection) -> None:
        """It is over."""
        self.connections.discard(connection)
        self._idle.pop(connection, None)

    def note_idle(self, connection: HttpConnection) -> None:
        """It asks for nothing now."""
        self._idle[connection] = None

    def note_busy(self, connection: HttpConnection) -> None:
        """It does."""
        self._idle.pop(connection, None)

    async def serve(self, stop: asyncio.Event, grace: float) -> int:
        """Serve until ``stop``, then let requests at work end for up to ``grace`` seconds; return how many could not.

        Nothing that comes in is lost by that: what is cut off has no answer.
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: HttpConnection(self, self._app, self._settings), sock=self._listener, backlog=BACKLOG
        )
        sweep = asyncio.create_task(self._sweep())
        try:
            await stop.wait()
            self.is_stopping = True
            server.close()
            for connection in tuple(self.connections):
                connection.shut_down(self._farewell)
            deadline = time.monotonic() + grace
            while self.connections and time.monotonic() < deadline:
                await asyncio.sleep(_LOOK)
                self._look_at_deadlines()
            return len(self.connections)
        finally:
            sweep.cancel()
            for connection in tuple(self.connections):
                connection.cut_off()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.date_line = _build_date_line()
            self._look_at_deadlines()

    def _look_at_deadlines(self) -> None:
        now = time.monotonic()
        for connection in tuple(self.connections):
            if connection.deadline is not None and connection.deadline < now:
                connection.deadline = None
                connection.on_deadline()


def _build_date_line() -> bytes:
    return f"date: {formatdate(usegmt=True)}\r\n".encode()
