"""One record of any topic, as it is shown and chosen by. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from consumers.records import Record
from iothub.errors import UsageError
from iothub.kafka.text import escape, show_bytes, to_json_headers, to_json_text, to_json_value
from iothub.kafka.units import UNKNOWN, format_stamp, to_time
from telemetry import headers as h

Pair = tuple[str, str]


@dataclass(frozen=True)
class RecordFilter:
    """Which records are wanted; what is not set leaves nothing out."""

    device: str | None = None
    """The key, or what the header ``device`` says."""
    reasons: frozenset[str] = frozenset()
    """Of a dead letter: any of these codes."""
    headers: tuple[Pair, ...] = ()
    """Names and values, all of which the record must have."""

    def matches(self, record: Record) -> bool:
        """Return whether ``record`` is wanted."""
        if self.device is not None and self.device not in {_text(record.key), record.header(h.DEVICE)}:
            return False
        if self.reasons and record.header(h.DLQ_REASON) not in self.reasons:
            return False
        return all(
            any(name == found and value == _text(content) for found, content in record.headers)
            for name, value in self.headers
        )


def parse_header_filter(text: str) -> Pair:
    """Return name and value of ``name=value``. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{text!r} is no header to look for: write --header name=value")
    return name, value


def find_device(record: Record) -> str | None:
    """Return which device a record is of: its header says, else its key."""
    return record.header(h.DEVICE) or _text(record.key)


def format_record(record: Record, *, at_most: int | None = None) -> str:
    """Return a record on one line: time, place, device, why it is dead, and its value (``at_most`` characters)."""
    device = find_device(record)
    parts = [
        format_stamp(record.timestamp),
        f"{record.partition}:{record.offset}",
        escape(device) if device is not None else UNKNOWN,
    ]
    reason = record.header(h.DLQ_REASON)
    if reason is not None:
        parts.append(escape(f"[{reason}] {record.header(h.ERROR_MESSAGE) or ''}".rstrip()))
    parts.append(show_bytes(record.value, at_most=at_most))
    return "  ".join(parts)


def build_record_document(record: Record) -> dict[str, Any]:
    """Return a record for a program.

    ``encoding`` tells how the value stands there: ``json`` (decoded), ``text`` or ``base64``. A key or a header that
    is no UTF-8 is ``{"base64": …}``.
    """
    value, encoding = to_json_value(record.value)
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": to_time(record.timestamp),
        "key": to_json_text(record.key),
        "headers": to_json_headers(record.headers),
        "value": value,
        "encoding": encoding,
    }


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")
