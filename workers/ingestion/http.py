"""``python -m ingestion.http``: from HTTP into Kafka.

A device is answered 202 once Kafka has all that it sent, and keeps its messages until then. Whatever dies in between,
it has no such answer, and sends again; with an Idempotency-Key, or with the same bytes, under the same ids.

One thread: the event loop, which serves Kafka's answers too. Health and metrics have a thread and a port of their
own, so that neither is in the other's way.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import sys

import structlog
import uvloop

from ingestion.api_keys import WatchedKeys
from ingestion.deliveries import AckPump
from ingestion.http_app import HttpApp
from ingestion.http_server import BACKLOG, MOST_REFUSED, HttpServer
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

_LINGER_MS = 1
"""A device waits for its answer: unless KAFKA_LINGER_MS is set, messages wait shorter for others than by default."""
_KEYS_EVERY = 2.0
"""Seconds between two looks at the file of API keys."""
_ASK = 2.0
"""Seconds that Kafka has to answer whether its topics are there."""
_GRACE = 5.0
"""On SIGTERM a request may take so many seconds beyond the time that it may wait for Kafka."""
_OTHER_FILES = 200
"""Files beside devices' connections that may be open: to Kafka's brokers, health, logs."""

log = structlog.get_logger(__name__)


class HttpIngestion:
    """The server, and the way of its messages into Kafka."""

    def __init__(self, settings: HttpSettings, intake: Intake, keys: WatchedKeys | None) -> None:
        self._settings = settings
        self._intake = intake
        self._keys = keys
        self._listener = _listen(settings.http_host, settings.http_port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._pump: AckPump | None = None
        self._is_stopping = False
        self._fatal: str | None = None
        self._start_problem: str | None = "it has not begun yet"

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
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def find_readiness_problem(self) -> str | None:
        """Return why no message can come in, or get into Kafka, now; or None."""
        if self._is_stopping:
            return "it is ending"
        if self._start_problem is not None or self._pump is None:
            return self._start_problem
        return self._pump.find_readiness_problem()

    def find_liveness_problem(self) -> str | None:
        """Return why only a restart can help, or None."""
        return None if self._pump is None else self._pump.find_liveness_problem()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._is_stopping:
            return
        self._pump = AckPump(self._intake, self._on_fatal)
        app = HttpApp(self._settings, self._intake, self._pump, self._keys)
        tasks = [asyncio.create_task(self._watch_keys()), asyncio.create_task(self._find_kafka())]
        log.info("listening", port=self.port, keys=len(self._keys.current) if self._keys is not None else None)
        try:
            server = HttpServer(app, self._settings, self._listener)
            cut_off = await server.serve(self._stop, self._settings.ack_timeout_seconds + _GRACE)
        finally:
            for task in tasks:
                task.cancel()
            self._pump.close()
        log.info("leaving", cut_off=cut_off, unacknowledged=self._intake.queued)

    async def _watch_keys(self) -> None:
        while self._keys is not None:
            await asyncio.sleep(_KEYS_EVERY)
            self._keys.refresh()

    async def _find_kafka(self) -> None:
        """Be ready once Kafka has answered: a new replica that can't reach it does not take an old one's place."""
        while self._start_problem is not None:
            self._start_problem = await asyncio.to_thread(self._intake.find_topic_problem, _ASK)
            if self._start_problem is not None:
                log.warning("not ready", problem=self._start_problem)
                await asyncio.sleep(1)

    def _on_fatal(self, why: str) -> None:
        self._fatal = why
        self.stop()


def make_room_for_connections(number: int) -> None:
    """Let the process have a file open for each of ``number`` connections. Raises ConfigurationError."""
    needed = number + MOST_REFUSED + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"INGESTION_MAX_CONNECTIONS is {number}, for which {needed} files have to be open, and this process may "
            f"have {soft}, at most {hard}: set a lower one, or raise the limit (ulimit -n)"
        ) from error


def main() -> int:
    """Run HTTP ingestion as the environment says until SIGTERM or SIGINT; return the process's exit code."""
    return run_process(_run)


def _run(process: ProcessSettings) -> None:
    http, kafka, settings = load_settings(HttpSettings), load_settings(ProducerConfig), load_settings(IngestionSettings)
    for name in find_unknown_variables(ProducerConfig):
        log.warning("unknown variable, ignored", variable=name)
    make_room_for_connections(http.max_connections)
    if "linger_ms" not in kafka.model_fields_set:
        kafka = kafka.model_copy(update={"linger_ms": _LINGER_MS})
    keys = WatchedKeys(http.api_keys_file) if http.api_keys_file is not None else None
    if keys is None:
        log.warning("anyone may send: INGESTION_API_KEYS_FILE is not set")
    # Who is answered 503 sends again: what Kafka has not taken by then goes out of the queue.
    timeout_ms = int(http.ack_timeout_seconds * 1000)
    intake = Intake(kafka, settings, source="http", name="ingestion-http", timeout_ms=timeout_ms)
    ingestion = HttpIngestion(http, intake, keys)
    signal.signal(signal.SIGTERM, ingestion.stop)
    signal.signal(signal.SIGINT, ingestion.stop)
    metrics.BUILD_INFO.labels(find_version(), "ingestion-http").set(1)
    live = {"loop": ingestion.find_liveness_problem, "producer": intake.find_liveness_problem}
    ready = {"kafka": ingestion.find_readiness_problem}
    relax_collector()
    with HealthServer(process.http_port, live=live, ready=ready):
        ingestion.run()


def _listen(host: str, port: int) -> socket.socket:
    try:
        socket.getaddrinfo(host or None, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
        return socket.create_server((host, port), backlog=BACKLOG)
    except socket.gaierror as error:
        raise ConfigurationError(f"INGESTION_HTTP_HOST: {host!r} is no address: {error.strerror}") from error
    except OSError as error:
        raise ConfigurationError(f"INGESTION_HTTP_PORT: can't listen on port {port}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
