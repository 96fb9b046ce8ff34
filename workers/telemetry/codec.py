"""JSON in and out, with a reason for everything that is no JSON.

orjson decides what is JSON (RFC 8259): no NaN, no Infinity, no lone surrogates. What it refuses is looked at a
second time, slowly, only to say why.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from telemetry.encodable import OPTIONS, encode_other, explain_unencodable
from telemetry.errors import InvalidTelemetry

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects that a telemetry message may have."""

_NON_FINITE = re.compile(r"(?<![A-Za-z0-9_\"])-?(?:NaN|Infinity)(?![A-Za-z0-9_\"])")
# A string that never ends reaches to the end of the text: looked for anew at every quote, it would cost n².
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def encode_json(value: object) -> bytes:
    """Return ``value`` as UTF-8 JSON.

    Beside what JSON itself has, it may hold datetimes, UUIDs, enums, dataclasses, Decimals (as numbers with exactly
    their digits), pydantic models (as their ``model_dump(mode="json")`` has them) and numpy's scalars and arrays.
    Raises TypeError for anything else, and ValueError for what has no JSON form (NaN, an integer beyond 64 bits, a lone
    surrogate, a value that is part of itself); the sentence begins with the part's path: ``$.metrics.humidity``.
    """
    try:
        encoded = orjson.dumps(value, encode_other, OPTIONS)
    except orjson.JSONEncodeError as error:
        raise explain_unencodable(value) or TypeError(f"$ can't be written as JSON: {error}") from error
    # orjson writes a float that is not finite as null, in silence. (bytes.rfind takes two thirds of the time of `in`.)
    if encoded.rfind(b"null") >= 0:
        problem = explain_unencodable(value)
        if problem is not None:
            raise problem
    return encoded


def decode_json(value: bytes) -> Any:
    """Return what the JSON text ``value`` means.

    Raises InvalidTelemetry with reason ``not_utf8``, ``too_deep`` or ``not_json``, never anything else.
    """
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _explain(value, error) from error


def decode_strict_json(value: bytes) -> Any:
    """Return what ``value`` means, as `decode_json` does, and refuse what readers would understand differently.

    Raises InvalidTelemetry also for what `check_strict` refuses.
    """
    document = decode_json(value)
    check_strict(value, document)
    return document


def check_strict(value: bytes, document: Any) -> None:
    """Raise InvalidTelemetry for a text that not every reader understands as ``document``, which was decoded from it.

    That is nesting beyond `MAX_DEPTH` (``too_deep``) and an object with the same name twice (``duplicate_key``;
    RFC 8259 §4 leaves its meaning open).
    """
    if exceeds_depth(value, MAX_DEPTH):
        raise InvalidTelemetry("too_deep", f"the message is nested more than {MAX_DEPTH} levels deep")
    # Every member of an object has one colon of its own; a name that came twice left a colon without a member.
    # Only an escape can hide or add one, so texts with a backslash get the exact look too.
    if b"\\" in value or value.count(b":") != _count_colons(document):
        _refuse_duplicates(value)


def exceeds_depth(value: bytes, limit: int) -> bool:
    """Return whether a JSON text is nested more than ``limit`` levels deep."""
    # Brackets within strings only make the count too high: then the exact, slower look decides.
    return value.count(b"{") + value.count(b"[") > limit and measure_depth(value) > limit


def measure_depth(value: bytes) -> int:
    """Return how deep arrays and objects are nested in a JSON text, well-formed or not. Linear, without recursion."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[\]{}]", _STRING.sub(b"", value)):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _count_colons(document: Any) -> int:
    total = 0
    stack = [document]
    while stack:
        node = stack.pop()
        if type(node) is dict:
            total += len(node)
            for name, child in node.items():
                total += name.count(":")
                stack.append(child)
        elif type(node) is str:
            total += node.count(":")
        elif type(node) is list:
            stack.extend(node)
    return total


def _refuse_duplicates(value: bytes) -> None:
    def members(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise InvalidTelemetry("duplicate_key", f"the name {name[:64]!r} comes twice in one object")
            seen.add(name)

    # Numbers stay text: an integer of 5,000 digits is JSON, but more than int() takes.
    json.loads(value.decode(), object_pairs_hook=members, parse_int=str, parse_float=str)


def _explain(value: bytes, error: orjson.JSONDecodeError) -> InvalidTelemetry:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as undecodable:
        bad = value[undecodable.start]
        return InvalidTelemetry(
            "not_utf8", f"the message is not UTF-8: byte 0x{bad:02x} at position {undecodable.start}"
        )
    if measure_depth(value) > MAX_DEPTH:
        return InvalidTelemetry("too_deep", f"the message is nested more than {MAX_DEPTH} levels deep")
    if not value:
        return InvalidTelemetry("not_json", "the message is empty")
    found = _NON_FINITE.search(text)
    if found is not None:
        return InvalidTelemetry(
            "not_json", f"{found[0]} at character {found.start()} is no JSON number: only finite numbers are"
        )
    return InvalidTelemetry("not_json", f"the message is not JSON: {error.msg} at character {error.pos}")
