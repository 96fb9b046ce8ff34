"""What every process of ours has: where it answers and how it logs, its exit codes, and its last words.

Kubernetes keeps what a container writes to ``/dev/termination-log`` in the pod's status; the operator reads it there,
never in logs. Where several run beside each other without containers, TERMINATION_LOG gives each a file of its own.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import orjson
import structlog
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from telemetry.errors import ConfigurationError, HandlerError, IotHubError, NotYetAvailable
from telemetry.logs import configure_logging
from telemetry.redaction import learn_secrets, redact
from telemetry.settings import load_settings

EX_OK = 0
EX_SOFTWARE = 70
"""Something failed that a restart may mend (sysexits.h)."""
EX_TEMPFAIL = 75
"""What the process needs is not there yet; trying again may help."""
EX_CONFIG = 78
"""It can't ever work as it is configured."""
EX_INTERRUPTED = 130
"""A person has interrupted it before it was at work (128 and the number of SIGINT, as a shell says it)."""

_MOST_LAST_WORDS = 4096

TERMINATION_LOG = "/dev/termination-log"
"""Where Kubernetes looks for last words, unless the variable of that name says another place."""

log = structlog.get_logger(__name__)


class ProcessSettings(BaseSettings):
    """What every process of ours takes: where it answers probes and how it logs."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    http_port: int = Field(default=8081, ge=0, le=65_535)
    """Port of ``/healthz``, ``/readyz`` and ``/metrics``; 0 takes a free one."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least severe log event that is written."""
    log_format: Literal["json", "console"] | None = None
    """``json`` or ``console``; left out, console on a terminal and JSON elsewhere."""


def run_process(body: Callable[[ProcessSettings], None]) -> int:
    """Run the ``body`` of a process with its settings and logging, and return the exit code.

    Whatever ends it early is one log event and the process's last words; only what nobody foresaw has a traceback.
    """
    learn_secrets(os.environ)
    configure_logging()
    try:
        settings = load_settings(ProcessSettings)
        configure_logging(settings.log_level, settings.log_format)
        body(settings)
    except IotHubError as error:
        return report_failure(error)
    except Exception as error:
        log.exception("unforeseen error")
        return report_failure(IotHubError(f"{type(error).__name__}: {error}"))
    except KeyboardInterrupt:
        # While it starts: once it runs, SIGINT ends it in order.
        return EX_INTERRUPTED
    return EX_OK


def relax_collector() -> None:
    """Let Python's cyclic garbage collector look rarely, for a process that only passes messages on.

    They hold no cycles, but each is a container or more: by default the collector runs for every second message, which
    is a third of what reading one costs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def find_version() -> str:
    """Return the software's version: of the installed wheel, or what the image says of itself (IOT_HUB_VERSION)."""
    try:
        return version("iot-hub-telemetry")
    except PackageNotFoundError:
        return os.environ.get("IOT_HUB_VERSION", "unknown")


def build_last_words(reason: str, message: str) -> bytes:
    """Return the JSON for the termination log, cut to the 4096 bytes that Kubernetes keeps."""
    message = redact(message).encode("utf-8", "replace").decode()
    while len(words := orjson.dumps({"reason": reason[:100], "message": message})) > _MOST_LAST_WORDS:
        message = message[: len(message) * 3 // 4] + "…"
    return words


def report_failure(error: IotHubError, *, termination_log: Path | None = None) -> int:
    """Log why the process ends, leave ``{"reason", "message"}`` for the operator, and return the exit code."""
    if isinstance(error, ConfigurationError):
        code, reason = EX_CONFIG, "ConfigurationInvalid"
    elif isinstance(error, HandlerError):
        code, reason = (EX_SOFTWARE if error.reason == "MessageFailed" else EX_CONFIG), error.reason
    elif isinstance(error, NotYetAvailable):
        code, reason = EX_TEMPFAIL, error.reason
    else:
        code, reason = EX_SOFTWARE, "Crashed" if type(error) is IotHubError else type(error).__name__
    log.error("process ends", reason=reason, problem=str(error), exit_code=code)
    path = termination_log or Path(os.environ.get("TERMINATION_LOG") or TERMINATION_LOG)
    if path.exists() and os.access(path, os.W_OK):
        path.write_bytes(build_last_words(reason, str(error)))
    sys.stderr.flush()
    return code
