"""Bytes that somebody sent, as text that is safe to show, and as JSON that loses nothing. Pure.

A terminal obeys control characters: a device could move its cursor, change its title or hide text. So nothing but
printable characters gets through; the rest is shown as backslash escapes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from telemetry.codec import decode_strict_json
from telemetry.errors import InvalidTelemetry
from telemetry.headers import Headers

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_COLUMNS = 16


def escape(text: str) -> str:
    """Return ``text`` with everything that is not printable as an escape, on one line."""
    return text if text.isprintable() else "".join(_escape_character(character) for character in text)


def show_bytes(content: bytes | None, *, at_most: int | None = None) -> str:
    """Return ``content`` on one line: UTF-8, with escapes for what is not printable or no UTF-8.

    ``at_most`` cuts it to so many characters, and says how many bytes there are.
    """
    if content is None:
        return "(null)"
    cut = content if at_most is None else content[: at_most * 4]
    text = escape(cut.decode("utf-8", "surrogateescape"))
    if at_most is not None and (len(text) > at_most or len(cut) < len(content)):
        return f"{text[:at_most]}… ({len(content)} bytes)"
    return text


def is_text(content: bytes) -> bool:
    """Return whether ``content`` is UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def to_json_text(content: bytes | None) -> str | dict[str, str] | None:
    """Return a key's or a header's bytes for JSON: a string, or ``{"base64": …}`` for what is no UTF-8."""
    if content is None:
        return None
    return content.decode() if is_text(content) else {"base64": b64encode(content).decode()}


def to_json_value(content: bytes | None) -> tuple[Any, str | None]:
    """Return a value for JSON and how it stands there: ``json`` (decoded), ``text`` or ``base64``; null has None.

    JSON that readers would understand differently (a name twice, nesting without end) stays text.
    """
    if content is None:
        return None, None
    try:
        return decode_strict_json(content), "json"
    except InvalidTelemetry:
        return (content.decode(), "text") if is_text(content) else (b64encode(content).decode(), "base64")


def to_json_headers(headers: Headers) -> dict[str, Any]:
    """Return headers as an object; a name that comes more than once has a list of its values."""
    found: dict[str, list[Any]] = {}
    for name, content in headers:
        found.setdefault(name, []).append(to_json_text(content))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def dump_hex(content: bytes) -> Iterator[str]:
    """Yield the lines of a hexdump: offset, bytes, and what of them is printable ASCII."""
    for start in range(0, len(content), _COLUMNS):
        row = content[start : start + _COLUMNS]
        readable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):<{_COLUMNS * 3}} {readable}"


def _escape_character(character: str) -> str:
    if character.isprintable():
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    # What `surrogateescape` makes of a byte that is no UTF-8.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
