"""Where the operator's own log lines go while it runs inside the hub: into a file, not between what people read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from iothub.hub.folder import begin_log


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Send what this process logs to ``path`` for as long as the block lasts."""
    begin_log(path)
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with path.open("a", encoding="utf-8") as output:
        handler = logging.StreamHandler(output)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.handlers[:], level = [handler], logging.INFO
        root.setLevel(level)
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.format_exc_info,
                structlog.processors.KeyValueRenderer(key_order=["time", "level", "event"]),
            ],
            logger_factory=structlog.WriteLoggerFactory(output),
        )
        try:
            yield
        finally:
            structlog.reset_defaults()
            root.handlers[:] = before[0]
            root.setLevel(before[1])
