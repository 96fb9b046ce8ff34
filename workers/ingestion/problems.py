"""What a request can be answered beside 202: a problem document (RFC 9457) that says what to do. Pure.

``type`` is a tag URI (RFC 4151), stable, for programs; ``detail`` is for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

CONTENT_TYPE = "application/problem+json"
_TYPE = "tag:iot-hub.io,2026:"

STATUSES = frozenset(map(HTTPStatus, (200, 202, 400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 500, 503)))
"""All that a request can be answered."""
_STATUS_LINES = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in STATUSES}

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered; ``headers`` are those beside the body's type and length."""

    status: HTTPStatus
    body: bytes
    content_type: bytes = b"application/json"
    headers: Sequence[Header] = ()

    def render(self, date_line: bytes, *, closes: bool, has_body: bool) -> bytes:
        """Return it as it goes over the wire; ``date_line`` is the header Date with its line end."""
        parts = [
            _STATUS_LINES[self.status],
            date_line,
            b"content-type: %s\r\ncontent-length: %d\r\n" % (self.content_type, len(self.body)),
            *(b"%s: %s\r\n" % header for header in self.headers),
            b"connection: close\r\n\r\n" if closes else b"\r\n",
            self.body if has_body else b"",
        ]
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one message of several was not taken: its place in the body, from 0, and what it would be answered alone."""

    index: int
    status: int
    code: str
    detail: str


class Problem(Exception):
    """A request that is not taken, or not as a whole.

    ``code`` is the last part of the document's type. ``retry_after`` is in seconds; with it the request may be sent
    again as it is. ``accepted`` and ``refused`` tell what became of a body's messages, where some were looked at.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Sequence[Header] = (),
        retry_after: int | None = None,
        accepted: int | None = None,
        refused: Sequence[Refusal] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        self.accepted = accepted
        self.refused = refused
        self._headers = headers

    @property
    def answer(self) -> Answer:
        """The answer that tells it."""
        wait = [] if self.retry_after is None else [(b"retry-after", b"%d" % self.retry_after)]
        return Answer(self.status, self.build_document(), CONTENT_TYPE.encode(), [*self._headers, *wait])

    def build_document(self) -> bytes:
        """Return the document."""
        document: dict[str, Any] = {
            "type": _TYPE + self.code,
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.accepted is not None:
            document["accepted"] = self.accepted
            document["refused"] = [
                {"index": item.index, "status": item.status, "type": _TYPE + item.code, "detail": item.detail}
                for item in self.refused
            ]
        return orjson.dumps(document)


def no_key() -> Problem:
    """There is no API key in the request."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "no-api-key",
        "Send your API key: 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
        headers=[(b"www-authenticate", b'Bearer realm="iot-hub"')],
    )


def unknown_key() -> Problem:
    """There is one that nobody has been given."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unknown-api-key",
        "This API key is not known here; ask whoever runs the hub for one.",
        headers=[(b"www-authenticate", b'Bearer realm="iot-hub", error="invalid_token"')],
    )


def device_not_allowed(detail: str) -> Problem:
    """The key is bound to other devices."""
    return Problem(HTTPStatus.FORBIDDEN, "device-not-allowed", detail)


def bad_body(detail: str) -> Problem:
    """The body can't be told apart into messages."""
    return Problem(HTTPStatus.BAD_REQUEST, "bad-body", detail)


def bad_request(code: str, detail: str) -> Problem:
    """Something beside the body can't be understood."""
    return Problem(HTTPStatus.BAD_REQUEST, code, detail)


def body_too_large(limit: int) -> Problem:
    """The body has more bytes than we take, as it is or decompressed."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body-too-large",
        f"The body has more than {limit} bytes, counted after decompression: send its messages in several requests.",
    )


def too_many_items(limit: int) -> Problem:
    """The body has more messages than we take."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-many-messages",
        f"The body has more than {limit} messages: send them in several requests.",
    )


def body_too_slow(limit: float) -> Problem:
    """The body does not come in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "body-too-slow",
        f"The body was not here within {limit:g} s: send it again, in smaller pieces where the connection is slow.",
    )


def headers_too_large(limit: int) -> Problem:
    """The headers have more bytes than we take."""
    return Problem(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers-too-large",
        f"The request line and the headers have more than {limit} bytes: send fewer or shorter ones.",
    )


def head_too_slow(limit: float) -> Problem:
    """The headers do not come in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "headers-too-slow",
        f"The headers were not here within {limit:g} s: send the request again.",
    )


def internal_error() -> Problem:
    """We have failed."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal-error",
        "This is a fault of the hub, which has noted it: send the request again later.",
    )


def too_many_requests(retry_after: int) -> Problem:
    """The key has as many requests at work as one may have."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-requests",
        "This API key has too many requests at work at a time: wait for answers, or send several messages in one.",
        retry_after=retry_after,
    )


def overloaded(retry_after: int) -> Problem:
    """There is more at work than we can hold."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "More is coming in than can be held now: nothing of this request was taken; send it again later.",
        retry_after=retry_after,
    )
