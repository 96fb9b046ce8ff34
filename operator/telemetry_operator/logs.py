"""Structured logs: one event a line, a constant message with fields; JSON in pods, readable on a terminal.

The workers log in the same form. The few lines stand here again, since operator and workers share no imports.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Literal

import structlog

_KOPFS_TRY = re.compile(r"Request attempt #(\d+)")


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Return whether a record is to be written: kopf's words on a call that it tries again are, now and then.

    An API server that is away for an hour, or a namespace that is gone, would fill the log with each try.
    """
    found = _KOPFS_TRY.match(record.getMessage())
    tries = int(found[1]) if found is not None else 1
    return tries & (tries - 1) == 0


def configure_logging(level: str = "INFO", log_format: Literal["json", "console"] | None = None) -> None:
    """Send structlog's events and the standard library's records to standard error, in one form.

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
        renderer = structlog.processors.JSONRenderer(serializer=json.dumps, default=str)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(is_worth_a_line)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their information is about their own inner life; what they warn of is worth a line.
    for name in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
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
