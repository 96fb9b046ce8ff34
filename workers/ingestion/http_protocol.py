"""What uvicorn's HTTP/1.1 protocol leaves open: how large the head of a request may be, and how long it may take.

Both hold before there is a request that the application could look at.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ingestion import problems
from ingestion.http_settings import HttpSettings
from ingestion.problems import Problem
from telemetry import metrics


class _HeadTooLarge(Exception):
    pass


class PatientProtocol(HttpToolsProtocol):
    """One connection. uvicorn makes the instances, so `limited_to` makes a class that knows the settings."""

    settings: ClassVar[HttpSettings]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._piece = 0
        """Size of what came last."""
        self._head = 0
        """At least so many bytes of a head have come that is not whole yet; 0 outside of one."""
        self._head_problem: Problem | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def limited_to(cls, settings: HttpSettings) -> type[PatientProtocol]:
        """Return the protocol with these limits."""
        return type("LimitedProtocol", (cls,), {"settings": settings})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own way
        """Give the device the time that a connection may be idle."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.settings.keepalive_seconds, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come. A head that has begun has its own time and size."""
        self._piece = len(data)
        if self._head:
            self._head += self._piece
        super().data_received(data)
        if not self._head:
            self._stop_timer()
        elif self._head > self.settings.max_header_bytes:
            self._head_problem = problems.headers_too_large(self.settings.max_header_bytes)
            self.send_400_response("")
        elif self._head <= self._piece:
            # It has begun just now.
            self._stop_timer()
            self._timer = self.loop.call_later(self.settings.body_timeout_seconds, self._lose_patience)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head = 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole: the application has the request, unless it is too large."""
        limit = self.settings.max_header_bytes
        if max(self._head, self._piece) > limit:
            # Only now is it worth counting: separators and the request line's other words are about four bytes each.
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > limit:
                self._head_problem = problems.headers_too_large(limit)
                raise _HeadTooLarge
        self._head = 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request that the application could be given, and close the connection."""
        self._head = 0
        self._stop_timer()
        problem = self._head_problem or problems.bad_request(
            "bad-http", "This is not HTTP/1.1: look at the request line, the headers and the chunks of the body."
        )
        body = problem.build_document()
        self.transport.write(
            STATUS_LINE[problem.status.value]
            + b"content-type: %s\r\n" % problems.CONTENT_TYPE.encode()
            + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()
        metrics.INGESTION_HTTP_RESPONSES.labels(problem.status.value).inc()

    def _lose_patience(self) -> None:
        self._timer = None
        self._head_problem = Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            "headers-too-slow",
            f"The headers were not here within {self.settings.body_timeout_seconds:g} s: send the request again.",
        )
        self.send_400_response("")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
