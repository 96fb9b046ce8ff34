"""What a request's head says: which route, whose device, which media type, coding, id. Pure.

Whatever is wrong with it is a Problem that says what to send instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from ingestion import problems
from ingestion.bodies import JsonSplitter, LineSplitter, Splitter
from ingestion.content_codings import CODINGS, Decoder
from ingestion.http_record import MAX_ID_CHARACTERS
from ingestion.problems import Problem
from telemetry.schema.v1 import find_device_problem

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")

TELEMETRY: Final = b"/v1/telemetry"
OPENAPI: Final = b"/openapi.json"
_DEVICES, _OF_DEVICE = b"/v1/devices/", b"/telemetry"


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. Names of headers are in lower case; of one that comes twice, the last counts."""

    method: str
    path: bytes
    """As it came, percent-encoded."""
    headers: dict[bytes, bytes]


def find_device(path: bytes) -> str | None:
    """Return the device that the path of a POST names, None for ``/v1/telemetry``. Raises Problem: 404, 400."""
    if path == TELEMETRY:
        return None
    name = path[len(_DEVICES) : -len(_OF_DEVICE)]
    if not path.startswith(_DEVICES) or not path.endswith(_OF_DEVICE) or b"/" in name or len(path) < 22:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "not-found",
            "Nothing is here: POST /v1/telemetry or /v1/devices/DEVICE/telemetry; GET /openapi.json describes both.",
        )
    try:
        device = unquote(name.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        raise problems.bad_request("bad-device", "The device's name in the path is not UTF-8.") from None
    problem = find_device_problem(device)
    if problem is not None:
        raise problems.bad_request("bad-device", f"The device's name in the path {problem}.")
    return device


def check_method(head: Head, allowed: str) -> None:
    """Raise Problem, 405, for any other method than the one that the path has."""
    if head.method != allowed and (head.method, allowed) != ("HEAD", "GET"):
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method-not-allowed",
            f"Only {allowed} works here.",
            headers=[(b"allow", allowed.encode())],
        )


def find_presented_key(head: Head) -> bytes:
    """Return the API key in the headers. Raises Problem, 401, where there is none."""
    scheme, _, token = head.headers.get(b"authorization", b"").partition(b" ")
    key = token.strip() if scheme.lower() == b"bearer" else head.headers.get(b"x-api-key", b"").strip()
    if not key:
        raise problems.no_key()
    return key


def choose_splitter(head: Head) -> tuple[Splitter, str]:
    """Return what tells the body's messages apart, and the media type of each. Raises Problem, 415."""
    sent = head.headers.get(b"content-type", JSON.encode()).decode("latin-1")
    media_type, *parameters = (part.strip().lower() for part in sent.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            raise _unsupported(f"The charset {value[:40]!r} is not taken: send UTF-8.")
    if media_type in NDJSON:
        return LineSplitter(), JSON
    if media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
        return JsonSplitter(), media_type[:MAX_ID_CHARACTERS]
    raise _unsupported(
        f"The Content-Type {media_type[:80]!r} is not taken: send application/json, an object or an array of them, "
        f"or {NDJSON[0]}, one object a line."
    )


def choose_decoder(head: Head) -> Decoder:
    """Return what undoes the body's Content-Encoding. Raises Problem, 415."""
    coding = head.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    make = CODINGS.get(coding)
    if make is None:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-encoding",
            f"The Content-Encoding {coding[:80]!r} is not taken: send gzip, zstd or none.",
            headers=[(b"accept-encoding", b"gzip, zstd")],
        )
    return make()


def find_idempotency_key(head: Head) -> str | None:
    """Return the Idempotency-Key, without quotes around it, or None. Raises Problem, 400."""
    sent = head.headers.get(b"idempotency-key")
    if sent is None:
        return None
    key = sent.decode("latin-1").strip()
    # A structured field's string (draft-ietf-httpapi-idempotency-key-header) has quotes; many clients send none.
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not (1 <= len(key) <= MAX_ID_CHARACTERS and key.isascii() and key.isprintable()):
        raise problems.bad_request(
            "bad-idempotency-key",
            f"The Idempotency-Key must have 1 to {MAX_ID_CHARACTERS} printable ASCII characters.",
        )
    return key


def check_length(head: Head, limit: int) -> None:
    """Raise Problem, 413, where the head already says that the body is too large."""
    declared = head.headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
        raise problems.body_too_large(limit)


def _unsupported(detail: str) -> Problem:
    accepted = ", ".join((JSON, NDJSON[0])).encode()
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail, headers=[(b"accept-post", accepted)]
    )
