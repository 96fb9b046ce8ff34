"""The controller over a fake cluster: watches, lists and passes all end in the same reconcile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from telemetry_operator import controller as module
from telemetry_operator import work
from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, DEPLOYMENTS, Manifest, Resource
from telemetry_operator.controller import Controller
from telemetry_operator.errors import Missing, Refused, Unavailable, Unreachable
from telemetry_operator.kafka.facts import Look
from telemetry_operator.settings import load_settings
from unit.operator.fake_cluster import FakeCluster
from unit.operator.kafka_samples import FixedObserver, facts_of
from unit.operator.samples import KEY, consumer_body

SETTINGS = load_settings(
    {"OPERATOR_WORKER_IMAGE": "w:1", "KAFKA_BOOTSTRAP_SERVERS": "k:1", "OPERATOR_RESYNC_SECONDS": "1"}
)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
async def controller(cluster: FakeCluster) -> AsyncIterator[Controller]:
    made = Controller(SETTINGS, cluster)
    yield made
    await made.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def has_deployment(cluster: FakeCluster) -> bool:
    return (DEPLOYMENTS.plural, *KEY) in cluster.objects


async def test_what_the_watch_shows_is_reconciled(controller: Controller, cluster: FakeCluster) -> None:
    await controller.wait_for_cluster()
    controller.start()
    controller.see_consumer(cluster.put(CONSUMERS, consumer_body()), gone=False)
    await until(lambda: has_deployment(cluster))


async def test_what_the_lists_bring_is_reconciled(controller: Controller, cluster: FakeCluster) -> None:
    cluster.put(CONSUMERS, consumer_body())
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: has_deployment(cluster))


async def test_a_childs_end_brings_it_back(controller: Controller, cluster: FakeCluster) -> None:
    cluster.put(CONSUMERS, consumer_body())
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: cluster.status_of(*KEY))
    gone = cluster.objects[(DEPLOYMENTS.plural, *KEY)]
    cluster.remove(DEPLOYMENTS, *KEY)
    controller.see_deployment(gone, gone=True)
    await until(lambda: has_deployment(cluster))


async def test_a_child_that_vanished_unseen_comes_back_with_the_next_list(
    controller: Controller, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_SECONDS", 0.0)
    cluster.put(CONSUMERS, consumer_body())
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: cluster.status_of(*KEY))
    cluster.remove(DEPLOYMENTS, *KEY)
    await until(lambda: has_deployment(cluster))


async def test_a_consumer_that_vanished_unseen_is_forgotten(
    controller: Controller, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_SECONDS", 0.0)
    cluster.put(CONSUMERS, consumer_body())
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: cluster.status_of(*KEY))
    cluster.remove(CONSUMERS, *KEY)
    await until(lambda: len(controller.store.consumers) == 0)


async def test_an_api_server_that_is_away_is_waited_for(
    controller: Controller, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_LIST_WAITS", (0.01,))
    cluster.broken = Missing("GET", 404, "NotFound", "the server could not find the requested resource")
    waiting = asyncio.create_task(controller.wait_for_cluster())
    await until(lambda: len(cluster.calls) > 3)
    assert not waiting.done()
    assert controller.liveness.find_deaths() == {}
    assert "the server could not find" in controller.liveness.find_troubles()["api"]
    cluster.broken = None
    await asyncio.wait_for(waiting, 5)
    assert controller.liveness.find_troubles() == {}


async def test_a_failed_pass_is_told_and_the_next_one_mends_it(
    controller: Controller, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIST_SECONDS", 0.0)
    await controller.wait_for_cluster()
    cluster.broken = Unavailable("no answer")
    controller.start()
    await until(lambda: "api" in controller.liveness.find_troubles())
    cluster.broken = None
    await until(lambda: controller.liveness.find_troubles() == {})


async def test_what_failed_while_nobody_answered_is_tried_once_somebody_does(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given waits that have grown long, when the API server is back, then nothing waits for their end or a pass."""
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(work, "FIRST_RETRY_SECONDS", 3600)
    seldom = Controller(SETTINGS.model_copy(update={"resync_seconds": 3600}), cluster)
    await seldom.wait_for_cluster()
    seldom.start()
    try:
        cluster.broken = Unreachable("no answer")
        for name in ("one", "two"):
            seldom.see_consumer(cluster.put(CONSUMERS, consumer_body(name=name)), gone=False)
        await until(lambda: "api" in seldom.liveness.find_troubles())
        cluster.broken = None
        await until(
            lambda: {(DEPLOYMENTS.plural, KEY.namespace, name) for name in ("one", "two")} <= {*cluster.objects}
        )
        await until(lambda: seldom.liveness.find_troubles() == {})
    finally:
        await seldom.stop()
    said = capsys.readouterr().out
    assert said.count("gives no answer") == 1
    assert said.count("answers again") == 1


class PartlyClosed(FakeCluster):
    """A cluster of which some namespaces are gone, with the rights on them."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: set[str | None] = set()

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Manifest], int]:
        if namespace in self.closed:
            raise Refused(f"GET {resource.plural}", 403, "Forbidden", f"not in {namespace}")
        return await super().list_objects(resource, namespace, selector)


async def test_a_namespace_that_is_closed_keeps_no_other_from_being_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "LIST_SECONDS", 0.0)
    cluster = PartlyClosed()
    cluster.closed = {"gone"}
    cluster.put(CONSUMERS, consumer_body())
    controller = Controller(SETTINGS.model_copy(update={"namespaces": ("gone", KEY.namespace)}), cluster)
    await controller.wait_for_cluster()
    controller.start()
    try:
        await until(lambda: has_deployment(cluster))
        assert controller.liveness.find_troubles() == {}
        cluster.closed = {"gone", KEY.namespace}
        await until(lambda: "api" in controller.liveness.find_troubles())
        cluster.closed = {KEY.namespace}
        await until(lambda: controller.liveness.find_troubles() == {})
    finally:
        await controller.stop()
    said = capsys.readouterr().out
    assert said.count("a namespace can't be served") == 2, "each once, however often it is looked"
    assert said.count("a namespace can be served again") == 1


class EditedMeanwhile(FakeCluster):
    """A cluster in which somebody edits a TelemetryConsumer just before its status is written."""

    def __init__(self) -> None:
        super().__init__()
        self.edit: dict[str, Any] | None = None

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Manifest:
        if self.edit is not None:
            self.put(CONSUMERS, self.edit)
            self.edit = None
        return await super().patch_status(resource, namespace, name, uid, status)


async def test_an_edit_that_comes_with_the_answer_to_a_write_is_taken_up() -> None:
    """Given an edit that is in the answer before the watch shows it, then what the watch shows is still news."""
    cluster = EditedMeanwhile()
    seldom = SETTINGS.model_copy(update={"resync_seconds": 3600})
    controller = Controller(seldom, cluster)
    await controller.wait_for_cluster()
    controller.start()
    try:
        cluster.edit = consumer_body({"replicas": 7}, generation=2)
        controller.see_consumer(cluster.put(CONSUMERS, consumer_body()), gone=False)
        await until(lambda: cluster.status_of(*KEY))
        controller.see_consumer(cluster.objects[(CONSUMERS.plural, *KEY)], gone=False)
        await until(lambda: cluster.objects[(DEPLOYMENTS.plural, *KEY)]["spec"]["replicas"] == 7)
        await until(lambda: cluster.status_of(*KEY)["observedGeneration"] == 2)
    finally:
        await controller.stop()


async def test_a_bug_that_one_consumer_brings_out_stops_no_other(
    controller: Controller, cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    broken = consumer_body(name="broken")
    broken["spec"]["handler"] = {"name": "logger", "options": {1: "not JSON's key"}}
    del broken["metadata"]["uid"]
    cluster.put(CONSUMERS, broken)
    cluster.objects[(CONSUMERS.plural, KEY.namespace, "broken")]["metadata"]["generation"] = None
    cluster.put(CONSUMERS, consumer_body())
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: has_deployment(cluster))
    assert (DEPLOYMENTS.plural, KEY.namespace, "broken") not in cluster.objects


async def test_only_the_namespaces_that_are_named_are_listed(cluster: FakeCluster) -> None:
    settings = load_settings(
        {"OPERATOR_WORKER_IMAGE": "w:1", "KAFKA_BOOTSTRAP_SERVERS": "k:1", "OPERATOR_NAMESPACES": "lab"}
    )
    cluster.put(CONSUMERS, consumer_body())
    elsewhere = Controller(settings, cluster)
    await elsewhere.wait_for_cluster()
    assert elsewhere.store.consumer_keys() == []


async def test_a_config_map_that_is_told_to_have_changed_is_read_at_once(
    controller: Controller, cluster: FakeCluster
) -> None:
    """Given a handler's file, when its change is told, then the pods roll without waiting for the next look at it."""

    def write(text: str) -> None:
        cluster.put(CONFIG_MAPS, {"metadata": {"namespace": KEY.namespace, "name": "code"}, "data": {"h.py": text}})

    def template() -> dict[str, Any]:
        found: dict[str, Any] = cluster.objects[(DEPLOYMENTS.plural, *KEY)]["spec"]["template"]["metadata"]
        return found

    write("first")
    handler = {"class": "Alarm", "configMap": {"name": "code", "key": "h.py"}}
    cluster.put(CONSUMERS, consumer_body({"handler": handler}))
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: has_deployment(cluster))
    before = template()
    write("second")
    controller.see_config_map(KEY.namespace, "code")
    await until(lambda: template() != before)


async def test_what_asks_kafka_starts_and_ends_with_it_and_its_news_are_reconciled(cluster: FakeCluster) -> None:
    """Given a TelemetryConsumer that is settled, when Kafka has news of its group, then its status has them at once."""
    observer = FixedObserver()
    told: list[module.OnNews] = []

    def make(on_news: module.OnNews) -> FixedObserver:
        told.append(on_news)
        return observer

    controller = Controller(SETTINGS, cluster, observer=make)
    cluster.put(CONSUMERS, consumer_body({"replicas": 0}))
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: observer.watched)
    (reading,) = observer.watched
    observer.looks[reading] = Look(facts=facts_of(reading, lag=7), trouble=None)
    (on_news,) = told
    on_news(frozenset({reading}))
    await until(lambda: cluster.status_of(*KEY).get("lag") == 7)
    assert observer.runs
    await controller.stop()
    assert not observer.runs


async def test_all_deployments_of_a_burst_come_before_any_status(
    controller: Controller, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKERS", 1)
    names = [f"x-{number}" for number in range(5)]
    for name in names:
        cluster.put(CONSUMERS, consumer_body(name=name))
    await controller.wait_for_cluster()
    controller.start()
    await until(lambda: all(cluster.status_of(KEY.namespace, name) for name in names))
    written = [call for call in cluster.calls if call.startswith("PATCH")]
    assert written == ["PATCH deployments"] * 5 + ["PATCH telemetryconsumers status"] * 5
