"""Structured logs: one event a line, a constant message with fields; JSON in pods, readable on a terminal.

No line holds a secret that the process has learnt (`telemetry.redaction`).
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Literal

import orjson
import structlog

from telemetry.redaction import redact

Format = Literal["json", "console"]


def configure_logging(level: str = "INFO", log_format: Format | None = None) -> None:
    """Send structlog's events, the standard library's records and Python's warnings to standard error, in one form.

    Without a ``log_format`` a terminal gets the readable form and everything else JSON.
    """
    if log_format is None:
        log_format = "console" if sys.stderr.isatty() else "json"
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    renderer: structlog.typing.Processor
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(serializer=_dump)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The one that rich brings shows local variables, and with them settings.
            exception_formatter=structlog.dev.plain_traceback,
        )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _redact],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _redact(_: object, __: str, line: Any) -> str:
    return redact(line)


def _dump(event: object, **_: object) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, an integer of more than 64 bits, a key that is no scalar
        return json.dumps(event, default=str, skipkeys=True)
