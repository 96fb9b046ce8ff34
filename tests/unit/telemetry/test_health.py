"""Probes and metrics, asked over HTTP as the kubelet and Prometheus ask."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from http.client import HTTPConnection
from threading import Event
from typing import Any

import pytest
from prometheus_client import Gauge
from structlog.testing import capture_logs
from structlog.typing import EventDict

from support.waiting import wait_until
from telemetry.errors import ConfigurationError
from telemetry.health import HealthServer


class Problems:
    """Checks whose answers the test sets."""

    def __init__(self) -> None:
        self.loop: str | None = None
        self.group: str | None = None


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as events:
        yield events


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def server(problems: Problems) -> Iterator[HealthServer]:
    with HealthServer(0, live={"loop": lambda: problems.loop}, ready={"group": lambda: problems.group}) as running:
        yield running


def ask(server: HealthServer, path: str) -> tuple[int, str, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def ask_probe(server: HealthServer, path: str) -> tuple[int, Any]:
    status, content_type, body = ask(server, path)
    assert content_type == "application/json"
    return status, json.loads(body)


def test_a_healthy_process_passes_both_probes(server: HealthServer) -> None:
    for path in ("/healthz", "/readyz"):
        assert ask_probe(server, path) == (200, {"ok": True, "problems": {}})


def test_a_liveness_problem_fails_both(server: HealthServer, problems: Problems) -> None:
    problems.loop = "the loop has not turned for 301 s"
    for path in ("/healthz", "/readyz"):
        assert ask_probe(server, path) == (503, {"ok": False, "problems": {"loop": problems.loop}})


def test_a_readiness_problem_fails_readiness_only(server: HealthServer, problems: Problems) -> None:
    # Given
    problems.group = "the group has not given this member its partitions yet"
    # Then
    assert ask_probe(server, "/healthz")[0] == 200
    assert ask_probe(server, "/readyz") == (503, {"ok": False, "problems": {"group": problems.group}})
    # When it has passed, Then so does the probe
    problems.group = None
    assert ask_probe(server, "/readyz")[0] == 200


def test_an_empty_sentence_is_a_problem_too(server: HealthServer, problems: Problems) -> None:
    problems.group = ""
    assert ask_probe(server, "/readyz")[0] == 503


def test_a_check_that_fails_is_a_problem_and_has_a_traceback_in_the_log(logged: list[EventDict]) -> None:
    def check() -> str | None:
        raise KeyError("group")

    with HealthServer(0, live={}, ready={"group": check}) as server:
        status, answer = ask_probe(server, "/readyz")
    assert (status, answer["problems"]) == (503, {"group": "the check itself failed: KeyError: 'group'"})
    assert [(event["event"], event["exc_info"]) for event in logged] == [("check failed", True)]


def test_metrics_are_prometheus_text(server: HealthServer) -> None:
    Gauge("test_health_is_asked", "Made by a test.").set(7)
    status, content_type, body = ask(server, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert b"\ntest_health_is_asked 7.0\n" in body


def test_a_query_is_no_part_of_the_path(server: HealthServer) -> None:
    assert ask_probe(server, "/healthz?verbose=1")[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/healthz/", "/metricsx"])
def test_another_path_is_told_what_there_is(server: HealthServer, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert b"/healthz, /readyz and /metrics" in body


def test_a_slow_connection_does_not_keep_a_probe_waiting(server: HealthServer) -> None:
    # Given somebody who connected and says nothing
    with socket.create_connection(("127.0.0.1", server.port)):
        # Then a probe is answered all the same
        assert ask_probe(server, "/healthz")[0] == 200


def test_a_prober_that_does_not_wait_leaves_no_traceback(
    logged: list[EventDict], capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a check that takes its time, and a prober that resets the connection meanwhile
    asked, gone = Event(), Event()

    def check() -> str | None:
        asked.set()
        gone.wait(10)
        return "x" * 1_000_000

    with HealthServer(0, live={}, ready={"slow": check}) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert asked.wait(10)
        client.close()
        # When the answer is ready
        gone.set()
        # Then nobody hears of it but who debugs
        wait_until(lambda: logged, what="the event")
    assert [(event["event"], event["log_level"]) for event in logged] == [("probe not answered", "debug")]
    assert capsys.readouterr().err == ""


def test_probes_leave_no_line_on_standard_error(server: HealthServer, capsys: pytest.CaptureFixture[str]) -> None:
    ask(server, "/healthz")
    ask(server, "/nowhere")
    assert capsys.readouterr().err == ""


def test_after_its_end_nobody_answers() -> None:
    with HealthServer(0, live={}, ready={}) as server:
        assert ask(server, "/healthz")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        ask(server, "/healthz")


def test_a_port_that_is_taken_is_a_wrong_setting(server: HealthServer) -> None:
    with pytest.raises(ConfigurationError, match=f"HTTP_PORT: can't listen on port {server.port}: .+"):
        HealthServer(server.port, live={}, ready={})
