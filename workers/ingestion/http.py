"""``python -m ingestion.http``: from HTTP into Kafka.

A device is answered 202 once Kafka has all that it sent, and keeps its messages until then. Whatever dies in between,
it has no such answer, and sends again; with an Idempotency-Key, or with the same bytes, under the same ids.

One thread: uvicorn's event loop, which serves Kafka's answers too. Health and metrics have a thread and a port of their
own, so that neither is in the other's way.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys

import structlog
import uvicorn
import uvloop

from ingestion.api_keys import WatchedKeys
from ingestion.deliveries import AckPump
from ingestion.http_app import HttpApp
from ingestion.http_protocol import PatientProtocol
from ingestion.http_settings import HttpSettings
from ingestion.intake import Intake
from ingestion.settings import IngestionSettings
from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.errors import ConfigurationError, FatalKafkaError
from telemetry.health import HealthServer
from telemetry.kafka_config import find_unknown_variables
from telemetry.process import ProcessSettings, find_version, relax_collector, run_process
from telemetry.settings import load_settings

_BACKLOG = 2048
_LINGER_MS = 1
"""A device waits for its answer: unless KAFKA_LINGER_MS is set, messages wait shorter for others than by default."""
_KEYS_EVERY = 2.0
"""Seconds between two looks at the file of API keys."""
_GRACE = 5.0
"""On SIGTERM a request may take so many seconds beyond the time that it may wait for Kafka."""

log = structlog.get_logger(__name__)


class HttpIngestion:
    """The server, and the way of its messages into Kafka."""

    def __init__(self, settings: HttpSettings, intake: Intake, keys: WatchedKeys | None) -> None:
        self._settings = settings
        self._intake = intake
        self._keys = keys
        self._listener = _listen(settings.http_port)
        self._server: uvicorn.Server | None = None
        self._pump: AckPump | None = None
        self._is_stopping = False
        self._fatal: str | None = None

    @property
    def port(self) -> int:
        """The port that devices come to."""
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        """Serve until `stop`. Raises FatalKafkaError where the producer can't go on: a new process can."""
        try:
            uvloop.run(self._serve())
        finally:
            self._listener.close()
            self._intake.close()
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal)

    def stop(self, *_: object) -> None:
        """Ask `run` to end: no new connection, the requests at work to their end. Takes a signal's arguments."""
        self._is_stopping = True
        if self._server is not None:
            self._server.should_exit = True

    def find_readiness_problem(self) -> str | None:
        """Return why no message can come in, or get into Kafka, now; or None."""
        if self._is_stopping:
            return "it is ending"
        if self._pump is None:
            return "it has not begun yet"
        return self._pump.find_readiness_problem()

    def find_liveness_problem(self) -> str | None:
        """Return why only a restart can help, or None."""
        return None if self._pump is None else self._pump.find_liveness_problem()

    async def _serve(self) -> None:
        self._pump = AckPump(self._intake, self._on_fatal)
        app = HttpApp(self._settings, self._intake, self._pump, self._keys)
        config = uvicorn.Config(
            app,
            http=PatientProtocol.limited_to(self._settings),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=self._settings.keepalive_seconds,
            timeout_graceful_shutdown=int(self._settings.ack_timeout_seconds + _GRACE),
            backlog=_BACKLOG,
        )
        self._server = _Server(config)
        self._server.should_exit = self._is_stopping
        watch = asyncio.create_task(self._watch_keys())
        log.info("listening", port=self.port, keys=len(self._keys.current) if self._keys is not None else None)
        try:
            await self._server.serve([self._listener])
        finally:
            watch.cancel()
            self._pump.close()
        log.info("leaving", unacknowledged=self._intake.queued)

    async def _watch_keys(self) -> None:
        while self._keys is not None:
            await asyncio.sleep(_KEYS_EVERY)
            self._keys.refresh()

    def _on_fatal(self, why: str) -> None:
        self._fatal = why
        self.stop()


class _Server(uvicorn.Server):
    """uvicorn's, which is told to end by us: its own handlers of signals would end the process a second time."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


def main() -> int:
    """Run HTTP ingestion as the environment says until SIGTERM or SIGINT; return the process's exit code."""
    return run_process(_run)


def _run(process: ProcessSettings) -> None:
    http, kafka, settings = load_settings(HttpSettings), load_settings(ProducerConfig), load_settings(IngestionSettings)
    for name in find_unknown_variables(ProducerConfig):
        log.warning("unknown variable, ignored", variable=name)
    if "linger_ms" not in kafka.model_fields_set:
        kafka = kafka.model_copy(update={"linger_ms": _LINGER_MS})
    # Each bad request would be a line in its log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    keys = WatchedKeys(http.api_keys_file) if http.api_keys_file is not None else None
    if keys is None:
        log.warning("anyone may send: INGESTION_API_KEYS_FILE is not set")
    ingestion = HttpIngestion(http, Intake(kafka, settings, source="http", name="ingestion-http"), keys)
    signal.signal(signal.SIGTERM, ingestion.stop)
    signal.signal(signal.SIGINT, ingestion.stop)
    metrics.BUILD_INFO.labels(find_version(), "ingestion-http").set(1)
    live, ready = {"loop": ingestion.find_liveness_problem}, {"kafka": ingestion.find_readiness_problem}
    relax_collector()
    with HealthServer(process.http_port, live=live, ready=ready):
        ingestion.run()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("", port), backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"INGESTION_HTTP_PORT: can't listen on port {port}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
