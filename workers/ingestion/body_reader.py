"""Reads the body of a request: in time, within its limits, decompressed, and told apart into messages.

Bytes of bodies that are in memory are counted in a budget of the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ingestion import problems
from ingestion.bodies import BodyError, Splitter
from ingestion.content_codings import CodingError, Decoder
from ingestion.http_settings import HttpSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_BREATH = 262_144
"""After so many bytes others have their turn: a body that is compressed well comes at once."""


class Disconnected(Exception):
    """The device has gone before its request was whole: nothing is taken, nobody waits for an answer."""


class Budget:
    """Bytes of bodies that all requests together hold."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> bool:
        """Count ``size`` bytes more; return whether there is room for them."""
        self.held += size
        return self.held <= self._limit

    def give_back(self, size: int) -> None:
        """They are not held any more."""
        self.held -= size


class BodyReader:
    """One request's body. `close` gives back what it holds in the budget."""

    def __init__(self, receive: Receive, settings: HttpSettings, budget: Budget) -> None:
        self._receive = receive
        self._settings = settings
        self._budget = budget
        self._held = 0
        self.has_ended = False
        """Whether the body has come to its end, so that the connection is ready for the next request."""

    async def read(self, splitter: Splitter, decoder: Decoder) -> list[bytes]:
        """Return the body's messages. Raises Problem, or Disconnected."""
        limit = self._settings.body_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._read(splitter, decoder)
        except TimeoutError:
            raise problems.body_too_slow(limit) from None
        except CodingError as error:
            raise problems.bad_request("bad-encoding", f"{error}: send it as its Content-Encoding says.") from error
        except BodyError as error:
            raise problems.bad_body(f"The body can't be told apart into messages: {error}.") from error

    async def discard(self, most: int, seconds: float) -> None:
        """Read on without keeping anything, so that the device comes to read its answer: closing would reset it."""
        try:
            async with asyncio.timeout(seconds):
                while not self.has_ended and most > 0:
                    most -= len(await self._next_piece())
        except (TimeoutError, Disconnected):
            pass

    def close(self) -> None:
        """Nothing of the body is held any more."""
        self._budget.give_back(self._held)
        self._held = 0

    async def _read(self, splitter: Splitter, decoder: Decoder) -> list[bytes]:
        messages: list[bytes] = []
        received = breath = 0
        while not self.has_ended:
            piece = await self._next_piece()
            received += len(piece)
            if received > self._settings.max_body_bytes:
                raise problems.body_too_large(self._settings.max_body_bytes)
            for decoded in decoder.decode(piece):
                self._hold(len(decoded))
                self._add(messages, splitter.feed(decoded))
                breath += len(decoded)
                if breath > _BREATH:
                    breath = 0
                    await asyncio.sleep(0)
        decoder.finish()
        self._add(messages, splitter.finish())
        return messages

    async def _next_piece(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        self.has_ended = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    def _hold(self, size: int) -> None:
        self._held += size
        has_room = self._budget.take(size)
        if self._held > self._settings.max_body_bytes:
            raise problems.body_too_large(self._settings.max_body_bytes)
        if not has_room:
            raise problems.overloaded(self._settings.retry_after_seconds)

    def _add(self, messages: list[bytes], more: list[bytes]) -> None:
        messages += more
        if len(messages) > self._settings.max_items:
            raise problems.too_many_items(self._settings.max_items)
