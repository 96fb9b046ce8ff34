"""The built-in handler ``logger``: shows what goes through a topic, whatever the bytes are.

``python -m consumers.telemetry_raw_logger`` runs it by itself; KAFKA_BOOTSTRAP_SERVERS and KAFKA_GROUP_ID are enough.
"""

from __future__ import annotations

import sys

import structlog

from consumers.records import Record
from consumers.worker import run_worker
from telemetry import headers as h
from telemetry.codec import encode_json
from telemetry.names import TOPIC_RAW

log = structlog.get_logger(__name__)


class TelemetryRawLogger:
    """Logs one event a batch: how many messages, their ids, from which partitions, and up to ``show`` of them whole."""

    wants_records = True
    wants_bytes = True  # what is no JSON is to be seen too, and not to become a dead letter

    def __init__(self, show: int = 3, characters: int = 500) -> None:
        self._show = show
        self._characters = characters

    def handle(self, payload: Record | list[Record]) -> None:
        """Log a batch, or a single record as a batch of one."""
        records = payload if isinstance(payload, list) else [payload]
        log.info(
            "readings",
            size=len(records),
            partitions=sorted({f"{record.topic}[{record.partition}]" for record in records}),
            ids=[record.header(h.ID) for record in records],
            first=[self._text(record) for record in records[: self._show]],
        )

    def _text(self, record: Record) -> str:
        value = record.value
        raw = b"" if value is None else value if isinstance(value, bytes) else encode_json(value)
        return raw[: self._characters].decode("utf-8", "backslashreplace")


if __name__ == "__main__":
    sys.exit(run_worker(handler="logger", topics=(TOPIC_RAW,), decode_json=False))
