"""Where a process answers its probes: ``/healthz``, ``/readyz`` and ``/metrics`` on one small HTTP server.

A check returns None while all is well, else the sentence that the probe's answer shows. Liveness checks are for what
only a restart mends; everything else is readiness.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from telemetry.errors import ConfigurationError

Check = Callable[[], str | None]

_PATIENCE = 10.0
"""Seconds in which a request must come: who connects and says nothing holds a thread."""

log = structlog.get_logger(__name__)


class HealthServer:
    """Answers probes and serves metrics from a thread of its own, for as long as it is entered."""

    def __init__(self, port: int, *, live: dict[str, Check], ready: dict[str, Check]) -> None:
        self._checks = {"/healthz": live, "/readyz": live | ready}
        try:
            self._server = _Server(("", port), self._make_handler())
        except OSError as error:
            raise ConfigurationError(f"HTTP_PORT: can't listen on port {port}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for ``path``."""
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
        checks = self._checks.get(path)
        if checks is None:
            return HTTPStatus.NOT_FOUND, "text/plain", b"/healthz, /readyz and /metrics are here\n"
        problems = {name: problem for name, check in checks.items() if (problem := _ask(check)) is not None}
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return status, "application/json", orjson.dumps({"ok": not problems, "problems": problems})

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        health = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE

            def do_GET(self) -> None:
                status, content_type, body = health.answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
                pass  # a probe every few seconds is no event

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # A prober that did not wait for its answer; the standard library would print a traceback.
        log.debug("probe not answered", client=client_address, exc_info=True)


def _ask(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:
        log.exception("check failed")
        return f"the check itself failed: {type(error).__name__}: {error}"
