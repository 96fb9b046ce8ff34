"""What holds for any bytes on their way through the validator: they are a message or have a reason, nothing else."""

from __future__ import annotations

from consumers.records import Outgoing, Record, Reject
from consumers.telemetry_validator import TelemetryValidator
from telemetry.codec import decode_strict_json
from telemetry.errors import InvalidTelemetry
from telemetry.schema import Telemetry, parse_telemetry


def check_record(value: bytes, device: str | None) -> None:
    """Raise AssertionError, or whatever slips out, where a raw record is not handled as it has to be.

    ``device`` is what its header says, or None where it has none.
    """
    headers = [("device", device.encode("utf-8", "replace"))] if device is not None else []
    record = Record(value, None, headers, "telemetry.raw", 0, 7, 0)
    [outcome] = TelemetryValidator().handle(record)
    verdict = _judge(value, record.header("device"))
    if isinstance(verdict, InvalidTelemetry):
        assert verdict.reason
        assert 0 < len(str(verdict)) < 1000
        assert isinstance(outcome, Reject)
        assert (outcome.reason, str(outcome)) == (verdict.reason, str(verdict))
        return
    clean = verdict.encode()
    # The clean form is the message's own, whoever reads it.
    again = parse_telemetry(clean, verdict.device)
    assert again == verdict
    assert again.encode() == clean
    decode_strict_json(clean)
    if isinstance(outcome, Outgoing):
        assert (outcome.key, outcome.value) == (verdict.device.encode(), clean)
    else:
        assert outcome.reason == "too_large"


def _judge(value: bytes, device: str | None) -> Telemetry | InvalidTelemetry:
    try:
        return parse_telemetry(value, device)
    except InvalidTelemetry as error:
        return error
