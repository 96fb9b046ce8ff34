"""What a committed offset says beside its number: how its partition was left, for whoever takes it over.

Kafka keeps a text with every committed offset. While a member is at work it says there how many messages it may have in
hand. Whoever finds that text after the member is gone knows that it did not leave in order, and goes through these
messages one by one; before each it notes that one more process has begun on it. So a message that kills every process
that handles it is told from one that was only in the same batch, and the count of its victims outlives them.

    left in order                              no text
    at work, next up to 500 messages           {"iothub":1,"hand":500}
    as above, nobody knows how many            {"iothub":1,"hand":-1}
    the message at the offset is in hand
    alone, for the third time                  {"iothub":1,"hand":480,"crashes":3}
    its handler has failed on it twice         {"iothub":1,"failures":2}
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

UNKNOWN = -1
"""In hand is something between nothing and everything behind the offset."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """How a partition was left at its committed offset.

    ``hand``: most messages, from the offset on, that may have been in hand; 0 where the member left in order, `UNKNOWN`
    where offsets were committed now and then. ``crashes``: processes that had the first of them alone in hand and did
    not come to an end with it. ``failures``: tries of the first one that its handler failed on.
    """

    hand: int = 0
    crashes: int = 0
    failures: int = 0


def format_mark(mark: Mark) -> str:
    """Return the text for the offset's metadata; empty where there is nothing to say."""
    said = {name: value for name in Mark.__slots__ if (value := getattr(mark, name))}
    return orjson.dumps({"iothub": _VERSION, **said}).decode() if said else ""


def parse_mark(text: str | None) -> Mark:
    """Return what an offset's metadata says; nothing where the text is not ours, since anybody may commit."""
    if not text:
        return Mark()
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Mark()
    if not isinstance(said, dict) or said.get("iothub") != _VERSION:
        return Mark()
    numbers = {name: said.get(name, 0) for name in Mark.__slots__}
    lowest = {"hand": UNKNOWN}
    if any(type(value) is not int or value < lowest.get(name, 0) for name, value in numbers.items()):
        return Mark()
    return Mark(**numbers)
