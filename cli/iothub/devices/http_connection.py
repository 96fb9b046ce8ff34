"""The connection over HTTP: one request a message, one behind the other."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from queue import SimpleQueue
from urllib.parse import quote, urlsplit

from iothub.devices.connection import Answer
from iothub.devices.message import Message
from iothub.errors import Unavailable
from iothub.target import HttpTarget

_TIMEOUT = 15.0
"""Longer than ingestion waits for Kafka."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_AGAIN = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Answers to send the same again behind: it may have been taken, and has the same id then."""
_LINE = "application/x-ndjson"
"""One line is one message, whatever bytes it is made of; what is damaged would have to be whole as JSON."""


@dataclass(eq=False)
class HttpConnection:
    """The one to HTTP ingestion. ``tell`` is called on a thread of its own."""

    target: HttpTarget
    name: str
    tell: Callable[[Answer | None], None]
    window: int
    """Most messages without an answer."""
    outstanding: dict[int, Message] = field(default_factory=dict, init=False)
    is_up: bool = field(default=False, init=False)
    was_up: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._sent = 0
        self._queue: SimpleQueue[tuple[int, Message] | None] = SimpleQueue()
        self._closed = threading.Event()
        self._client = self._make_client()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def open(self) -> None:
        """Look whether ingestion is there. Raises Unavailable."""
        try:
            found = self._ask("GET", "/openapi.json")
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"no HTTP ingestion answers at {self.target.url} ({error}); start one with iothub up, or name another "
                "with --http-url"
            ) from error
        if found.status != HTTPStatus.OK:
            raise Unavailable(
                f"what listens at {self.target.url} does not answer as HTTP ingestion (GET /openapi.json: "
                f"{found.status}); check --http-url"
            )
        self.is_up = self.was_up = True
        self._thread.start()

    def open_later(self) -> None:
        """Connect in the background, for as long as it takes."""
        self.is_up = True
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether one more message may be sent now."""
        return self.is_up and len(self.outstanding) < self.window

    def publish(self, message: Message) -> None:
        """Send a message, again and again until it has an answer that is final."""
        self._sent += 1
        self.outstanding[self._sent] = message
        self._queue.put((self._sent, message))

    def close(self) -> None:
        """Leave. What is outstanding stays without an answer."""
        self._closed.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT)
        self._client.close()

    # --- the thread ---

    def _run(self) -> None:
        while (sent := self._queue.get()) is not None and not self._closed.is_set():
            mid, message = sent
            status = self._send(message)
            if status is not None:
                self.tell(Answer(self, mid, None if status == HTTPStatus.ACCEPTED else str(status)))

    def _send(self, message: Message) -> int | None:
        """Return the final answer's status; None where the end came first."""
        path = f"/v1/devices/{quote(message.device, safe='')}/telemetry"
        headers = {"Content-Type": _LINE}
        if self.target.api_key is not None:
            headers["Authorization"] = f"Bearer {self.target.api_key.get_secret_value()}"
        pause = _FIRST_PAUSE
        while not self._closed.is_set():
            try:
                answer = self._ask("POST", path, message.payload, headers)
            except (OSError, http.client.HTTPException):
                self._client.close()
                self.is_up = False
                self.tell(None)
            else:
                self.is_up = self.was_up = True
                if answer.status not in _AGAIN:
                    return answer.status
            self._closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return None

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        self._client.request(method, path, body, headers or {})
        answer = self._client.getresponse()
        answer.read()
        return answer

    def _make_client(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.target.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=_TIMEOUT)
