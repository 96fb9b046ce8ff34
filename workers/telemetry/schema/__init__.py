"""The telemetry schema: from a device's bytes to one normalised message, or the reason why not.

A registry from version to parser, so that a new version is one more file beside ``v1.py`` and one more line here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telemetry.codec import MAX_DEPTH, check_strict, decode_json, exceeds_depth
from telemetry.errors import InvalidTelemetry
from telemetry.schema.message import Telemetry
from telemetry.schema.v1 import parse_v1

__all__ = ["VERSIONS", "Telemetry", "parse_telemetry"]

VERSIONS: dict[int, Callable[[dict[str, Any], str | None], Telemetry]] = {1: parse_v1}
"""From schema version to the parser of its documents."""


def parse_telemetry(value: bytes | None, device: str | None = None) -> Telemetry:
    """Return the message that a raw record's ``value`` holds.

    ``device`` is who sent it by topic, path or API key: it fills in for a missing field and has to agree with one
    that is there. Raises InvalidTelemetry, and nothing else, for anything that is no valid message.
    """
    if value is None:
        raise InvalidTelemetry("not_json", "the message is empty")
    document = decode_json(value)
    try:
        message = _find_parser(document)(document, device)
    except InvalidTelemetry:
        # What readers would understand differently is told first: a field may be missing to one of them only.
        check_strict(value, document)
        raise
    if message.extra or not _is_strict_at_a_glance(value, document, message):
        check_strict(value, document)
        # Under 'extra' an unknown field lies one level deeper than it came.
        if exceeds_depth(value, MAX_DEPTH - 1) and exceeds_depth(message.encode(), MAX_DEPTH):
            raise InvalidTelemetry(
                "too_deep", f"in its normal form the message is nested more than {MAX_DEPTH} levels deep"
            )
    return message


def _find_parser(document: Any) -> Callable[[dict[str, Any], str | None], Telemetry]:
    if type(document) is not dict:
        raise InvalidTelemetry("not_object", f"the message must be a JSON object, not {_kind(document)}")
    version = document.get("schema_version")
    parse = VERSIONS.get(version) if type(version) is int else None
    if parse is None:
        if "schema_version" not in document:
            raise InvalidTelemetry("missing_field", "the field 'schema_version' is missing; write 1")
        known = ", ".join(map(str, VERSIONS))
        raise InvalidTelemetry(
            "unsupported_schema_version", f"'schema_version' is {str(version)[:40]!r}; known versions: {known}"
        )
    return parse


def _is_strict_at_a_glance(value: bytes, document: dict[str, Any], message: Telemetry) -> bool:
    """Return whether it is certain that no name came twice in a valid message without unknown fields.

    Such a message has as many colons as members, and those in its texts. A name that came twice left one more; so does
    one with a colon in it, which is too rare to be counted here. An escape could hide a colon, or two names' being one.
    """
    ts = document["ts"]
    colons = len(document) + len(message.metrics) + document.get("device", "").count(":")
    if type(ts) is str:
        colons += ts.count(":")
    return value.count(b":") == colons and b"\\" not in value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a string", bool: "a boolean"}.get(type(value), "a number")
