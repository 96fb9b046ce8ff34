"""The process around the work: kopf's set-up, its credentials, the probes, the exit codes."""

from __future__ import annotations

import inspect
import itertools
import json
import ssl
from collections.abc import Iterable, Sized
from typing import Any

import aiohttp
import kopf
import pytest

from telemetry_operator import __main__ as entry
from telemetry_operator import handlers
from telemetry_operator.controller import Controller
from telemetry_operator.errors import SettingsError
from telemetry_operator.kopf_settings import configure_kopf
from telemetry_operator.liveness import Liveness
from telemetry_operator.login import Connection
from telemetry_operator.metrics import read_version
from telemetry_operator.probes import Probes
from telemetry_operator.store import Store
from unit.operator.samples import consumer_body


@pytest.fixture
def settings() -> kopf.OperatorSettings:
    made = kopf.OperatorSettings()
    configure_kopf(made)
    return made


def test_kopf_posts_nothing_scans_nothing_and_meets_no_peers(settings: kopf.OperatorSettings) -> None:
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled


def test_a_watch_that_is_silent_is_known_for_lost_within_half_a_minute(settings: kopf.OperatorSettings) -> None:
    watching = settings.watching
    assert watching.server_timeout is not None
    assert watching.client_timeout is not None
    # The server's last bookmark comes two seconds before its end of the watch.
    assert watching.server_timeout < watching.inactivity_timeout < watching.client_timeout <= 30


def test_the_api_server_is_tried_for_ever_and_often(settings: kopf.OperatorSettings) -> None:
    waits = settings.networking.error_backoffs
    assert isinstance(waits, Iterable)
    assert not isinstance(waits, Sized)
    for _ in range(2):
        first = list(itertools.islice(waits, 1000))
        assert first == sorted(first)
        assert (first[0], first[-1]) == (1, 8)


def test_state_would_be_kept_under_our_names(settings: kopf.OperatorSettings) -> None:
    persistence = settings.persistence
    assert isinstance(persistence.progress_storage, kopf.AnnotationsProgressStorage)
    for name in (persistence.progress_storage.prefix, persistence.finalizer):
        assert str(name).startswith("telemetry.iot-hub.io")


def test_no_object_is_copied_to_be_compared(settings: kopf.OperatorSettings) -> None:
    storage, body = settings.persistence.diffbase_storage, kopf.Body({"spec": {"replicas": 1}})
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None


def test_no_handler_keeps_state_or_asks_for_a_finalizer() -> None:
    registry = kopf.get_default_registry()
    assert list(registry._changing.get_all_handlers()) == []
    assert list(registry._spawning.get_all_handlers()) == []
    assert len(list(registry._watching.get_all_handlers())) == 3
    for handler in registry._watching.get_all_handlers():
        assert inspect.iscoroutinefunction(handler.fn)


class Seen(Controller):
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bool]] = []

    def see_consumer(self, body: Any, *, gone: bool) -> None:
        self.calls.append(("consumer", body["metadata"]["name"], gone))

    def see_deployment(self, body: Any, *, gone: bool) -> None:
        self.calls.append(("deployment", body["metadata"]["name"], gone))

    def see_pod(self, body: Any, *, gone: bool) -> None:
        self.calls.append(("pod", body["metadata"]["name"], gone))


@pytest.mark.parametrize(("kind", "gone"), [(None, False), ("ADDED", False), ("MODIFIED", False), ("DELETED", True)])
async def test_each_event_is_handed_on(kind: str | None, gone: bool) -> None:
    seen = Seen()
    arguments: Any = {
        "event": {"type": kind, "object": consumer_body(name="x")},
        "memo": kopf.Memo(controller=seen),
    }
    for handler in (handlers.consumer_changed, handlers.deployment_changed, handlers.pod_changed):
        # What a handler returns, kopf would write into the object.
        returned: Any = handler(**arguments)
        assert await returned is None
    assert seen.calls == [("consumer", "x", gone), ("deployment", "x", gone), ("pod", "x", gone)]


def test_a_ca_without_key_usage_is_taken_and_certificates_are_verified_all_the_same() -> None:
    """Python 3.13's own context refuses such a CA, and with it every API server that it signed."""
    context = Connection(server="https://example.com").as_ssl_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_the_probes_answer_what_liveness_says() -> None:
    liveness = Liveness(Store(), 30, lambda: 0.0)
    probes = Probes(liveness)
    port = await probes.start(0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/healthz") as answer:
                assert (answer.status, await answer.json()) == (200, {"ok": True, "problems": {}})
            async with session.get("/readyz") as answer:
                assert answer.status == 503
                assert "api" in (await answer.json())["problems"]
            liveness.api_answered()
            async with session.get("/readyz") as answer:
                assert answer.status == 200
            async with session.get("/metrics") as answer:
                text = await answer.text()
                assert "iothub_operator_reconcile_seconds_count" in text
        taken = Probes(liveness)
        with pytest.raises(SettingsError, match=f"HTTP_PORT: can't listen on port {port}"):
            await taken.start(port)
        await taken.stop()
    finally:
        await probes.stop()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Any:
    import logging

    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before[0], before[1]


def test_a_wrong_setting_is_one_sentence_and_78(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([], {"OPERATOR_WORKER_IMAGE": "w:1"}) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["problem"] == "KAFKA_BOOTSTRAP_SERVERS: is required and not set"


def test_the_version_is_the_packages() -> None:
    assert read_version()[0].isdigit()
