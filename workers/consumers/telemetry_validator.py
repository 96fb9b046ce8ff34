"""The built-in handler ``validator``: from ``telemetry.raw`` to ``telemetry.clean``, or a dead letter with a reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from consumers.records import Outgoing, Record, Reject
from consumers.worker import run_worker
from telemetry import headers as h
from telemetry.errors import InvalidTelemetry
from telemetry.headers import Headers, get_header
from telemetry.names import MAX_MESSAGE_BYTES, TOPIC_CLEAN, TOPIC_DLQ, TOPIC_RAW
from telemetry.schema import parse_telemetry


class TelemetryValidator:
    """Checks each message against the telemetry schema and hands on its normal form, keyed by device.

    The clean record keeps the raw one's headers and adds where that lies (``raw_topic``, ``raw_partition``,
    ``raw_offset``). An invalid one is rejected with the schema's reason code.
    """

    wants_records = True
    wants_bytes = True

    def handle(self, payload: Record | list[Record]) -> Iterator[Outgoing | Reject]:
        """Yield, for one record or a batch, the clean message or the reject of each."""
        places: dict[tuple[str, int], Headers] = {}
        for index, record in enumerate(payload if isinstance(payload, list) else [payload]):
            value, _, headers, topic, partition, offset, _ = record
            try:
                device, clean = _normalise(value, get_header(headers, h.DEVICE))
            except InvalidTelemetry as error:
                yield _reject(error, index)
            else:
                place = places.get((topic, partition))
                if place is None:
                    place = places[topic, partition] = _build_place(topic, partition)
                yield Outgoing(None, clean, device.encode(), [*headers, *place, (h.RAW_OFFSET, b"%d" % offset)])


def _reject(error: InvalidTelemetry, index: int) -> Reject:
    """Return the reject for ``error`` without its traceback.

    That would hold the frames, these the batch and the reject: every batch with a bad message in it would stay until
    Python's collector comes by.
    """
    reject = Reject(error.reason, str(error), index, stage="validate")
    reject.__cause__ = type(error)(error.reason, str(error))
    return reject


def _build_place(topic: str, partition: int) -> Headers:
    return (h.RAW_TOPIC, topic.encode()), (h.RAW_PARTITION, b"%d" % partition)


def _normalise(value: bytes | None, device: str | None) -> tuple[str, bytes]:
    """Return the device and the clean value of a raw record whose header names ``device``."""
    message = parse_telemetry(value, device)
    clean = message.encode()
    # 1e15 becomes 1000000000000000.0: what fitted into the raw topic may not fit into the clean one.
    if len(clean) > MAX_MESSAGE_BYTES:
        raise InvalidTelemetry(
            "too_large", f"in its normal form the message has {len(clean)} bytes, more than {MAX_MESSAGE_BYTES}"
        )
    return message.device, clean


if __name__ == "__main__":
    sys.exit(
        run_worker(
            handler="validator",
            topics=(TOPIC_RAW,),
            decode_json=False,
            output_topic=TOPIC_CLEAN,
            dlq_topic=TOPIC_DLQ,
        )
    )
