"""One HTTP/1.1 connection on the event loop: requests in, answers out in the order of the requests.

httptools (llhttp, Node's parser) reads the protocol. No task and no timer belongs to a request: its body is taken as it
comes, its answer is written from Kafka's report, and `on_deadline` is called by the server, which looks at all
connections in turn. That makes the difference to a general server: most of a request's cost was there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import Protocol, cast

import httptools
import structlog

from ingestion import problems
from ingestion.http_app import HttpApp
from ingestion.http_request import Head
from ingestion.http_settings import HttpSettings
from ingestion.problems import Answer, Problem
from ingestion.telemetry_request import TelemetryRequest
from telemetry import metrics

_SMALL = 65_536
"""The rest of a refused body up to so many bytes is awaited, so that the connection can go on."""
_LINGER_BYTES, _LINGER_SECONDS = 32 * 1024 * 1024, 5.0
"""How much is thrown away behind a last answer, and how long: closing with unread bytes would reset it on its way.
The device has as long to read what it was sent."""
_MOST_WAITING = 16
"""Requests of one connection that wait for their answers; nothing more is read before one has it."""
_MOST_UNREAD = 256 * 1024
"""Bytes of answers that a device may leave unread; one that asks on all the same has had its last."""
_OFFER = frozenset({b"connection", b"upgrade", b"http2-settings"})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESPONSES = {status: metrics.INGESTION_HTTP_RESPONSES.labels(status.value) for status in problems.STATUSES}

log = structlog.get_logger(__name__)


class Owner(Protocol):
    """What a connection knows of its server."""

    is_stopping: bool
    date_line: bytes
    """The header Date as it is now, with its line end."""

    def admit(self, connection: HttpConnection) -> None:
        """Take a new connection, and say `begin`, `refuse` or `cut_off` to it."""

    def forget(self, connection: HttpConnection) -> None:
        """It is over."""

    def note_idle(self, connection: HttpConnection) -> None:
        """It is between requests, or before the first one: the server may say `make_room` to it."""

    def note_busy(self, connection: HttpConnection) -> None:
        """A request has begun on it."""


class _Slot:
    """A request's place in the order of answers."""

    __slots__ = ("answer", "closes", "has_body")

    def __init__(self, *, closes: bool, has_body: bool) -> None:
        self.answer: Answer | None = None
        self.closes = closes
        """Whether it is the connection's last."""
        self.has_body = has_body


class HttpConnection(asyncio.Protocol):
    """Reads requests for ``app``, within the limits of ``settings``."""

    def __init__(self, server: Owner, app: HttpApp, settings: HttpSettings) -> None:
        self._server = server
        self._app = app
        self._settings = settings
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._slots: deque[_Slot] = deque()
        self._request: TelemetryRequest | None = None
        """Takes the body that comes in; None where that is thrown away."""
        self._slot: _Slot | None = None
        """The place of the request that comes in."""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_in_head = False
        self._silent = 0
        """How many bytes have come since the parser has last made something of them."""
        self._piece = 0
        self._is_deaf = False
        """Whether nothing more is parsed: what comes is thrown away."""
        self._thrown_away = 0
        self._is_paused = False
        self._is_write_paused = False
        self.deadline: float | None = None
        """When `on_deadline` is to be called, by the monotonic clock."""

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the server whether there is room."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The device has gone: what was not whole is not taken, and nobody waits for answers."""
        self._server.forget(self)
        self._drop_request()
        self._slots.clear()
        # It holds our methods, and would hold us until Python looks for cycles, which is seldom here.
        del self._parser

    def eof_received(self) -> bool:
        """The device sends nothing more; it may wait for answers."""
        self._drop_request()
        if self._slot is not None and self._slot in self._slots:
            self._slots.remove(self._slot)
        self._end_with_last()
        return bool(self._slots)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._piece = len(data)
        if self._is_deaf:
            self._thrown_away += self._piece
            if self._thrown_away > _LINGER_BYTES:
                self._transport.abort()
            return
        self._silent += self._piece
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._give_up(error)
        else:
            # A head, what stands before a chunk, or the trailers behind the last one.
            if self._silent > self._settings.max_header_bytes and (self._is_in_head or self._slot is not None):
                self._answer_last(problems.headers_too_large(self._settings.max_header_bytes))

    def pause_writing(self) -> None:
        """The device does not read its answers: read nothing more of it."""
        self._is_write_paused = True
        self._choose_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._is_write_paused = False
        self._choose_reading()

    # --- the parser ---

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._is_deaf:
            return  # of the piece that is being parsed
        self._server.note_busy(self)
        self._url, self._headers, self._is_in_head, self._silent = b"", {}, True, 0
        self.deadline = time.monotonic() + self._settings.body_timeout_seconds

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; not a trailer (RFC 9110 §6.5.1: who has no use for one drops it)."""
        if self._is_in_head:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._is_deaf or self._parser.should_upgrade():
            return
        largest = max(self._silent, self._piece)
        self._is_in_head, self._silent = False, 0
        method = self._parser.get_method().decode("ascii")
        keeps_alive = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
        slot = _Slot(closes=not keeps_alive or self._server.is_stopping, has_body=method != "HEAD")
        self._slot = slot
        self._slots.append(slot)
        try:
            self._check_head_size(largest)
            head = Head(method, self._url.partition(b"?")[0], self._headers)
            self._request = self._app.begin(head, partial(self._answer, slot))
        except Problem as problem:
            self._refuse(slot, problem)
        except Exception:
            self._refuse(slot, _note_fault())
        else:
            if self._headers.get(b"expect", b"").lower() == b"100-continue" and self._request is not None:
                self._transport.write(_CONTINUE)

    def on_chunk_header(self) -> None:
        """A chunk of the body begins."""
        self._silent = 0

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body, or throw it away."""
        self._silent = 0
        if self._request is None or self._slot is None:
            return
        try:
            self._request.feed(piece)
        except Problem as problem:
            self._refuse(self._slot, problem)
        except Exception:
            self._refuse(self._slot, _note_fault())

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._is_deaf or self._parser.should_upgrade():
            return
        request, slot = self._request, self._slot
        self._request = self._slot = None
        self.deadline = None
        if request is not None and slot is not None:
            try:
                request.finish()
            except Problem as problem:
                request.end()
                self._answer(slot, problem.answer)
            except Exception:
                request.end()
                self._answer(slot, _note_fault().answer)
        elif not self._slots:
            self._become_idle()
        self._choose_reading()

    # --- the server ---

    def begin(self) -> None:
        """Give the device the time that a connection may be idle."""
        self._become_idle()

    def refuse(self) -> None:
        """Answer whatever the device is going to ask that there is no room, and end."""
        self._answer_last(problems.overloaded(self._settings.retry_after_seconds))

    def make_room(self) -> None:
        """End, to the good of another one: nothing has been asked, so nothing is owed."""
        self._close()

    def on_deadline(self) -> None:
        """Time is over, for whatever it was."""
        if self._is_deaf or self._transport.is_closing():
            self._transport.abort()
        elif self._slot is not None and self._request is not None:
            self._refuse(self._slot, problems.body_too_slow(self._settings.body_timeout_seconds))
        elif self._is_in_head:
            limit = self._settings.body_timeout_seconds
            self._answer_last(problems.head_too_slow(limit))
        else:
            self._close()

    def shut_down(self, farewell: float) -> None:
        """Take nothing new; requests that have begun have their answer, and then the connection ends.

        One that is idle stays for ``farewell`` seconds: the request that may be on its way is answered, as the last.
        """
        if not self._slots and not self._is_in_head:
            self.deadline = time.monotonic() + farewell
        for slot in self._slots:
            slot.closes = slot is self._slots[-1]

    def cut_off(self) -> None:
        """End at once: who has no answer sends again."""
        self._transport.abort()

    # --- answers ---

    def _answer(self, slot: _Slot, answer: Answer) -> None:
        """Note the answer to a request, and write every one that nothing before it holds back."""
        _RESPONSES[answer.status].inc()
        slot.answer = answer
        slots = self._slots
        while slots and (due := slots[0].answer) is not None:
            first = slots.popleft()
            first.closes = first.closes or (self._server.is_stopping and not slots) or self._reads_too_little()
            self._transport.write(due.render(self._server.date_line, closes=first.closes, has_body=first.has_body))
            if first.closes:
                self._close_behind(first)
                return
        if not slots and self._slot is None and not self._is_in_head:
            self._become_idle()
        if self._is_paused:
            self._choose_reading()

    def _reads_too_little(self) -> bool:
        return self._is_write_paused and self._transport.get_write_buffer_size() > _MOST_UNREAD

    def _check_head_size(self, largest: int) -> None:
        """Raise Problem for a head that is too large; ``largest`` is the most that it can have."""
        limit = self._settings.max_header_bytes
        # Names, values, and four bytes for what lies between them.
        if largest > limit and limit < len(self._url) + sum(len(n) + len(v) + 4 for n, v in self._headers.items()):
            raise problems.headers_too_large(limit)

    def _refuse(self, slot: _Slot, problem: Problem) -> None:
        """Answer before the body is whole, and throw the rest of it away."""
        self._drop_request()
        length = self._headers.get(b"content-length", b"0")
        is_large = b"transfer-encoding" in self._headers or len(length) > 6 or int(length) > _SMALL
        # A device that asks before it sends (Expect) reads the answer in place of sending.
        if is_large or b"expect" in self._headers or problem.status == HTTPStatus.REQUEST_TIMEOUT:
            slot.closes = True
        self._answer(slot, problem.answer)

    def _answer_last(self, problem: Problem) -> None:
        """Answer what is no whole request, behind those before it, and end the connection."""
        self._drop_request()
        self._is_deaf, self._is_in_head = True, False
        if self._slot is None or self._slot.answer is not None:
            self._slot = _Slot(closes=True, has_body=True)
            self._slots.append(self._slot)
        self._slot.closes = True
        self._answer(self._slot, problem.answer)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Go on as if the device had not offered to speak something else, as RFC 9110 §7.8 lets us.

        Java's client offers HTTP/2 with its first request. The parser takes all behind the head for that other
        protocol's, and the body with it: so a new one is given the head again, without the offer.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._answer_last(problems.bad_request("bad-http", "This is no proxy."))
            return
        kept = (item for item in self._headers.items() if item[0] not in _OFFER)
        head = b"".join([method, b" ", self._url, b" HTTP/1.1\r\n", *(b"%s: %s\r\n" % item for item in kept), b"\r\n"])
        self._parser = httptools.HttpRequestParser(self)
        self._is_in_head, self._silent = False, 0
        self.data_received(head + rest)

    def _give_up(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):
            log.error("request failed", exc_info=error)
        else:
            log.debug("no HTTP", problem=str(error))
        self._answer_last(
            problems.bad_request(
                "bad-http", "This is not HTTP/1.1: look at the request line, the headers and the chunks of the body."
            )
        )

    def _end_with_last(self) -> None:
        """Take nothing new; the connection ends behind the answers that are still owed."""
        self._is_deaf = True
        if self._slots:
            self._slots[-1].closes = True
        else:
            self._close()

    def _close_behind(self, slot: _Slot) -> None:
        """End the connection behind its last answer, once the device has had the time to read it."""
        self._slots.clear()
        if self._slot is None and not self._is_in_head:
            self._close()
            return
        self._is_deaf = True
        self.deadline = time.monotonic() + _LINGER_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        """End once the device has read what is owed to it; one that does not read is cut off after a while."""
        self._transport.close()
        self.deadline = time.monotonic() + _LINGER_SECONDS

    def _drop_request(self) -> None:
        if self._request is not None:
            self._request.end()
            self._request = None

    def _become_idle(self) -> None:
        if self._server.is_stopping:
            self._close()
            return
        self.deadline = time.monotonic() + self._settings.keepalive_seconds
        self._server.note_idle(self)

    def _choose_reading(self) -> None:
        pauses = self._is_write_paused or len(self._slots) >= _MOST_WAITING
        if pauses != self._is_paused and not self._transport.is_closing():
            self._is_paused = pauses
            (self._transport.pause_reading if pauses else self._transport.resume_reading)()


def _note_fault() -> Problem:
    log.exception("request failed")
    return problems.internal_error()
