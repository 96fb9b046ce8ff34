"""The Kubernetes client against a mock of the API server: addresses, pages, what each refusal becomes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest
from kmock import RawHandler

from telemetry_operator.api import CONFIG_MAPS, CONSUMERS, CRDS, DEPLOYMENTS, EVENTS, PODS, Resource
from telemetry_operator.cluster import Cluster
from telemetry_operator.errors import Conflict, Invalid, Leaving, Missing, Refused, SettingsError, Unavailable
from telemetry_operator.login import Connection, find_connection

# The raw handler: the answers are the test's, not those of kmock's own idea of Kubernetes.
pytestmark = pytest.mark.kmock(cls=RawHandler)


@pytest.fixture
async def cluster(kmock: RawHandler) -> AsyncIterator[Cluster]:
    connection = Connection(server=str(kmock.url), token="the-token")
    async with Cluster(lambda: connection) as entered:
        yield entered


@pytest.mark.parametrize(
    ("resource", "arguments", "expected"),
    [
        (PODS, (None,), "/api/v1/pods"),
        (PODS, ("plant",), "/api/v1/namespaces/plant/pods"),
        (CONFIG_MAPS, ("plant", "code"), "/api/v1/namespaces/plant/configmaps/code"),
        (DEPLOYMENTS, ("plant", "x"), "/apis/apps/v1/namespaces/plant/deployments/x"),
        (EVENTS, ("plant",), "/apis/events.k8s.io/v1/namespaces/plant/events"),
        (CRDS, (None, "a.b"), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a.b"),
        (
            CONSUMERS,
            ("plant", "x", "status"),
            "/apis/telemetry.iot-hub.io/v1alpha1/namespaces/plant/telemetryconsumers/x/status",
        ),
    ],
)
def test_addresses(resource: Resource, arguments: tuple[Any, ...], expected: str) -> None:
    assert resource.path(*arguments) == expected


async def test_a_list_is_read_page_by_page(kmock: RawHandler, cluster: Cluster) -> None:
    pages = {
        None: {"items": [{"n": 1}], "metadata": {"resourceVersion": "7", "continue": "more"}},
        "more": {"items": [{"n": 2}], "metadata": {"resourceVersion": "7"}},
    }
    kmock["get /api/v1/pods"] << (lambda request: pages[request.params.get("continue")])
    found, version = await cluster.list_objects(PODS, None, "a=b")
    assert (found, version) == ([{"n": 1}, {"n": 2}], 7)
    requests = list(kmock["get"])
    assert [request.params.get("continue") for request in requests] == [None, "more"]
    assert {request.params["labelSelector"] for request in requests} == {"a=b"}
    assert {request.params["limit"] for request in requests} == {"250"}


async def test_what_happens_is_followed_in_whatever_pieces_it_comes(kmock: RawHandler, cluster: Cluster) -> None:
    events = [
        {"type": "ADDED", "object": {"n": 1}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
        {"type": "DELETED", "object": {"n": 2}},
    ]
    stream = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    kmock["get /api/v1/namespaces/plant/pods"] << stream
    found = [event async for event in cluster.follow(PODS, "plant", "a=b", 7)]
    assert found == [("ADDED", {"n": 1}), ("DELETED", {"n": 2})]
    (request,) = kmock["get"]
    asked = {name: request.params[name] for name in ("watch", "labelSelector", "resourceVersion")}
    assert asked == {"watch": "true", "labelSelector": "a=b", "resourceVersion": "7"}


async def test_a_version_that_is_too_old_is_an_error(kmock: RawHandler, cluster: Cluster) -> None:
    gone = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
    kmock["get /api/v1/pods"] << json.dumps(gone).encode() + b"\n"
    with pytest.raises(Unavailable, match="watch /api/v1/pods: too old"):
        [event async for event in cluster.follow(PODS, None, "a", 7)]


@pytest.mark.parametrize(("answer", "error"), [(404, Missing), (403, Refused), (503, Unavailable)])
async def test_what_cant_be_followed_is_said(
    kmock: RawHandler, cluster: Cluster, answer: int, error: type[Exception]
) -> None:
    kmock["get /api/v1/pods"] << answer << {"reason": "R", "message": "m"}
    with pytest.raises(error, match="m"):
        [event async for event in cluster.follow(PODS, None, "a", 7)]


async def test_a_namespace_that_is_on_its_way_out_is_told_from_missing_rights(
    kmock: RawHandler, cluster: Cluster
) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "plant is being terminated", "field": "metadata.namespace"}]
    kmock << 403 << {"reason": "Forbidden", "message": "no new content", "details": {"causes": causes}}
    with pytest.raises(Leaving, match="no new content"):
        await cluster.create(DEPLOYMENTS, {"metadata": {"namespace": "plant", "name": "x"}})


async def test_every_call_carries_the_token_and_our_name(kmock: RawHandler, cluster: Cluster) -> None:
    kmock << {"items": [], "metadata": {"resourceVersion": "1"}}
    await cluster.list_objects(PODS, "plant")
    (request,) = kmock["get"]
    assert request.headers["Authorization"] == "Bearer the-token"
    assert request.headers["User-Agent"] == "telemetry-operator"


@pytest.mark.parametrize("force", [True, False])
async def test_apply_is_server_side_with_our_field_manager(kmock: RawHandler, cluster: Cluster, force: bool) -> None:
    kmock << {"applied": True}
    manifest = {"metadata": {"namespace": "plant", "name": "x"}, "spec": {"replicas": 2}}
    assert await cluster.apply(DEPLOYMENTS, manifest, force=force) == {"applied": True}
    (request,) = kmock["patch"]
    assert request.url.path == "/apis/apps/v1/namespaces/plant/deployments/x"
    assert request.params == {"fieldManager": "telemetry-operator", "force": str(force).lower()}
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(request.body) == manifest


async def test_a_status_is_merged_for_the_one_object_that_is_meant(kmock: RawHandler, cluster: Cluster) -> None:
    kmock << {"metadata": {}}
    await cluster.patch_status(CONSUMERS, "plant", "x", "uid-1", {"replicas": 2})
    (request,) = kmock["patch"]
    assert request.url.path.endswith("/telemetryconsumers/x/status")
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert json.loads(request.body) == {"metadata": {"uid": "uid-1"}, "status": {"replicas": 2}}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (400, Invalid),
        (401, Unavailable),
        (403, Refused),
        (409, Conflict),
        (422, Invalid),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
async def test_what_a_refusal_becomes(
    kmock: RawHandler, cluster: Cluster, code: int, expected: type[Exception]
) -> None:
    kmock << code << {"reason": "Because", "message": "it is so"}
    with pytest.raises(expected) as caught:
        await cluster.read(DEPLOYMENTS, "plant", "x")
    assert type(caught.value) is expected
    assert "it is so" in str(caught.value)
    assert "GET /apis/apps/v1/namespaces/plant/deployments/x" in str(caught.value)


async def test_what_is_not_there_reads_as_none_and_lists_as_missing(kmock: RawHandler, cluster: Cluster) -> None:
    kmock << 404 << {"reason": "NotFound", "message": "no"}
    assert await cluster.read(DEPLOYMENTS, "plant", "x") is None
    with pytest.raises(Missing):
        await cluster.list_objects(CONSUMERS, "plant")


async def test_an_answer_that_is_no_status_object_is_shown_in_part(kmock: RawHandler, cluster: Cluster) -> None:
    kmock << 502 << b"<html>bad gateway</html>" + b"x" * 1000
    with pytest.raises(Unavailable, match="bad gateway") as caught:
        await cluster.read(DEPLOYMENTS, "plant", "x")
    assert len(str(caught.value)) < 400


async def test_no_answer_is_unavailable() -> None:
    async with Cluster(lambda: Connection(server="http://127.0.0.1:1")) as cluster:
        with pytest.raises(Unavailable, match=r"127.0.0.1:1 gives no answer"):
            await cluster.read(DEPLOYMENTS, "plant", "x")


async def test_a_token_is_read_anew_each_minute_and_once_it_is_not_taken(kmock: RawHandler) -> None:
    tokens, now = iter("abcd"), [0.0]
    url = str(kmock.url)
    async with Cluster(lambda: Connection(server=url, token=next(tokens)), clock=lambda: now[0]) as cluster:
        kmock["get"] << {"items": [], "metadata": {"resourceVersion": "1"}}
        for now[0] in (0.0, 59.0, 60.0, 119.0):
            await cluster.list_objects(PODS, "plant")
        kmock["post"] << 401 << {"reason": "Unauthorized", "message": "it has expired"}
        with pytest.raises(Unavailable, match="expired"):
            await cluster.create(EVENTS, {"metadata": {"namespace": "plant"}})
        await cluster.list_objects(PODS, "plant")
    used = [request.headers["Authorization"] for request in kmock["get"]]
    assert used == ["Bearer a", "Bearer a", "Bearer b", "Bearer b", "Bearer c"]


async def test_credentials_that_can_not_be_read_anew_may_be_the_next_time(kmock: RawHandler) -> None:
    kmock << {"items": [], "metadata": {"resourceVersion": "1"}}
    connections: list[Connection | None] = [Connection(server=str(kmock.url)), None, Connection(server="unused")]

    def find() -> Connection:
        found = connections.pop(0)
        if found is None:
            raise SettingsError("KUBECONFIG: is being written")
        return found

    now = iter((0.0, 60.0, 61.0))
    async with Cluster(find, clock=lambda: next(now)) as cluster:
        with pytest.raises(Unavailable, match="is being written"):
            await cluster.list_objects(PODS, "plant")
        assert await cluster.list_objects(PODS, "plant") == ([], 1)


async def test_a_kubeconfig_that_is_not_there_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match="KUBECONFIG"):
        await Cluster.connect()


@pytest.mark.parametrize("text", ["{", "current-context: x", "[]", "current-context: x\ncontexts: [{name: y}]"])
async def test_a_kubeconfig_that_can_not_be_read_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, text: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(SettingsError, match="KUBECONFIG"):
        await Cluster.connect()


@pytest.mark.parametrize(
    ("host", "expected"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pod_takes_the_address_that_it_was_told(monkeypatch: pytest.MonkeyPatch, host: str, expected: str) -> None:
    """The name that kopf would take needs the cluster's DNS."""
    in_pod = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: in_pod)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = find_connection(settings=kopf.OperatorSettings())
    assert found is not None
    assert (found.server, found.token) == (expected, "t")
