"""What a handler gives back: told apart, and made into bytes that Kafka takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from consumers.records import Outgoing, Reject, RetryLater
from telemetry.codec import encode_json
from telemetry.headers import REPLAY_HEADERS, check_header_names
from telemetry.names import check_topic_name


def sort_results(result: Any) -> tuple[list[Outgoing], list[Reject]]:
    """Return the outgoing messages, in bytes, and the rejects of what ``handle`` has given back.

    Raises TypeError, ValueError or UnicodeError for what is neither or what Kafka can't take, the RetryLater that is
    among it, and whatever a generator raises on its way.
    """
    if result is None:
        return [], []
    outgoing: list[Outgoing] = []
    rejects: list[Reject] = []
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("handle() returned a coroutine that nobody awaits: declare it with 'async def'")
    parts = (result,) if isinstance(result, Outgoing | Reject | RetryLater) else result
    if not isinstance(parts, Iterable) or isinstance(parts, str | bytes | dict):
        raise TypeError(f"handle() returns nothing, Outgoing, Reject, or several of these, not {type(result).__name__}")
    for part in parts:
        if isinstance(part, Outgoing):
            outgoing.append(_encode(part))
        elif isinstance(part, Reject):
            rejects.append(part)
        elif isinstance(part, RetryLater):
            raise part
        else:
            raise TypeError(f"handle() gives Outgoing, Reject or RetryLater, not {type(part).__name__}")
    return outgoing, rejects


def _encode(part: Outgoing) -> Outgoing:
    """Return ``part`` in bytes. Here, so that what Kafka can't take is the handler's failure and nobody else's.

    The marks of a replay stay behind: copied from the input, they would make every group of the output skip it.
    """
    topic, value, key, headers = part
    if topic is not None:
        check_topic_name(topic)
    if type(value) is bytes and type(headers) is list and _are_plain(headers):
        if type(key) is bytes:
            return part
        if type(key) is str:
            return Outgoing(topic, value, key.encode(), headers)
    if isinstance(headers, dict):
        raise TypeError("Outgoing's headers are pairs of name and value, as a list")
    check_header_names(headers)
    if len(_plain_names) < _MOST_PLAIN_NAMES:
        _plain_names.update(name for name, _ in headers if name not in REPLAY_HEADERS)
    return Outgoing(
        topic,
        value if value is None or isinstance(value, bytes) else encode_json(value),
        key if key is None or type(key) is bytes else _to_bytes(key, "key"),
        [
            (name, content if type(content) is bytes else _to_bytes(content, "header", name))
            for name, content in headers
            if name not in REPLAY_HEADERS
        ],
    )


_plain_names: set[object] = set()
"""Names of headers that were found good before: most messages have the same few."""
_MOST_PLAIN_NAMES = 1000


def _are_plain(headers: list[tuple[str, Any]]) -> bool:
    # No all(): a generator would take twice the time, for each message that goes out.
    for name, content in headers:  # noqa: SIM110
        if name not in _plain_names or type(content) is not bytes:
            return False
    return True


def _to_bytes(content: object, what: str, name: str = "") -> bytes | None:
    if content is None or isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    raise TypeError(
        f"Outgoing's {f'{what} {name!r}' if name else what} is a string or bytes, not {type(content).__name__}"
    )
