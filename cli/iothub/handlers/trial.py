"""``python -m iothub.handlers.trial REQUEST RESULT``: the process in which a handler is tried.

A handler may hang, end its process or bring it down: that is why it has one of its own. The environment is a worker's,
and so are the settings, the loading and the calls.
"""

from __future__ import annotations

import base64
import faulthandler
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from consumers.calls import Handler
from consumers.config import ConsumerConfig
from consumers.handlers import load_handler, set_up
from consumers.records import Record
from consumers.settings import WorkerSettings
from iothub.handlers.results import TrialResult
from iothub.handlers.sample import run_sample
from telemetry.errors import ConfigurationError, HandlerError
from telemetry.logs import configure_logging
from telemetry.settings import load_settings


class WireRecord(BaseModel):
    """A record on its way to the process, bytes in base64."""

    model_config = ConfigDict(frozen=True)

    value: str | None
    key: str | None
    headers: tuple[tuple[str, str | None], ...]
    topic: str
    partition: int
    offset: int
    timestamp: int

    @classmethod
    def pack(cls, record: Record) -> WireRecord:
        """Return ``record`` as it travels."""
        return cls(
            value=_encode(record.value),
            key=_encode(record.key),
            headers=tuple((name, _encode(value)) for name, value in record.headers),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
        )

    def unpack(self) -> Record:
        """Return the record as it was."""
        return Record(
            _decode(self.value),
            _decode(self.key),
            [(name, _decode(value)) for name, value in self.headers],
            self.topic,
            self.partition,
            self.offset,
            self.timestamp,
        )


class Request(BaseModel):
    """What to try, and for how long."""

    seconds: float
    records: tuple[WireRecord, ...] | None = None
    """What the handler is given; None to load it only."""


def main(request_path: Path, result_path: Path) -> None:
    """Try the handler that the environment names, and write the result."""
    configure_logging("INFO", "console")
    request = Request.model_validate_json(request_path.read_bytes())
    # Says where every thread stands, and ends the process: also when nobody waits for it any more.
    faulthandler.dump_traceback_later(request.seconds, exit=True)
    try:
        result = _try(request)
    except HandlerError as error:
        result = TrialResult(problem=str(error), reason=error.reason)
    except ConfigurationError as error:
        result = TrialResult(problem=str(error), reason="ConfigurationInvalid")
    written = result_path.with_suffix(".new")
    written.write_text(result.model_dump_json(), "utf-8")
    written.replace(result_path)


def _try(request: Request) -> TrialResult:
    settings = load_settings(WorkerSettings)
    handler = load_handler(settings.handler, file=settings.handler_file, options=settings.handler_options)
    if request.records is None:
        return TrialResult()
    set_up(handler)
    group = load_settings(ConsumerConfig).group_id
    sample = run_sample(handler, settings, group, [record.unpack() for record in request.records])
    _close(handler)
    return TrialResult(sample=sample)


def _close(handler: Handler) -> None:
    close = getattr(handler, "close", None)
    if close is not None:
        try:
            close()
        except (Exception, SystemExit) as error:
            raise HandlerError("HandlerFailed", f"close() failed: {type(error).__name__}: {error}") from error


def _encode(value: bytes | str | None) -> str | None:
    raw = value.encode() if isinstance(value, str) else value
    return None if raw is None else base64.b64encode(raw).decode()


def _decode(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the handler has left behind keep nobody waiting.
    os._exit(0)
