"""The proxy that counts an operator's calls: it hands on what it gets, changes nothing, and knows what is what."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from telemetry_operator.login import Connection

if TYPE_CHECKING:
    from benchmarks.operator_proxy import CountingProxy

ROOT = Path(__file__).parents[2]
CONSUMERS = "/apis/telemetry.iot-hub.io/v1alpha1/namespaces/plant/telemetryconsumers"


class ApiServer:
    """Stands in for an API server: says what it was asked, and tells a watch of two events."""

    def __init__(self) -> None:
        self.second_event = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            return await self._tell(request)
        said = {
            "method": request.method,
            "path": request.raw_path,
            "type": request.headers.get("Content-Type"),
            "agent": request.headers.get("User-Agent"),
            "token": request.headers.get("Authorization"),
            "body": await request.text(),
        }
        return web.json_response(said, status=409 if request.method == "POST" else 200)

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await self.second_event.wait()
        await response.write(b"two\n")
        return response


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def proxy(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[CountingProxy, str]]:
    # The benchmarks are run from the repository's folder and installed nowhere.
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    from benchmarks.operator_cluster import Cluster
    from benchmarks.operator_proxy import CountingProxy

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        connection = Connection(server=f"http://127.0.0.1:{runner.addresses[0][1]}", token="t")
        async with Cluster(connection) as cluster:
            made = CountingProxy(cluster)
            async with made.listening() as address:
                yield made, address
    finally:
        await runner.cleanup()


async def test_a_call_arrives_as_it_was_made_with_the_clusters_credentials(proxy: tuple[CountingProxy, str]) -> None:
    made, address = proxy
    headers = {"User-Agent": "operator", "Content-Type": "application/merge-patch+json"}
    path = f"{CONSUMERS}/x/status?fieldManager=a%2Fb"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.patch(URL(address + path, encoded=True), data=b'{"status": {}}') as answer,
    ):
        said = await answer.json()
    assert said == {
        "method": "PATCH",
        "path": path,
        "type": "application/merge-patch+json",
        "agent": "operator",
        "token": "Bearer t",
        "body": '{"status": {}}',
    }
    assert made.calls == {"PATCH telemetryconsumers status": 1}


async def test_a_request_without_a_body_gets_no_type(proxy: tuple[CountingProxy, str]) -> None:
    """An API server refuses one of a type that it does not know."""
    _, address = proxy
    async with aiohttp.ClientSession() as session, session.get(f"{address}/api") as answer:
        assert (await answer.json())["type"] is None


async def test_a_refusal_is_handed_back(proxy: tuple[CountingProxy, str]) -> None:
    _, address = proxy
    async with aiohttp.ClientSession() as session, session.post(address + CONSUMERS, json={}) as answer:
        assert answer.status == 409


async def test_a_watch_is_handed_on_line_by_line_and_counts_once(
    proxy: tuple[CountingProxy, str], server: ApiServer
) -> None:
    made, address = proxy
    async with aiohttp.ClientSession() as session, session.get(f"{address}{CONSUMERS}?watch=true") as answer:
        assert await answer.content.readline() == b"one\n"
        server.second_event.set()
        assert await answer.content.readline() == b"two\n"
    assert made.calls == {"WATCH telemetryconsumers": 1}


async def test_lists_are_told_from_reads(proxy: tuple[CountingProxy, str]) -> None:
    made, address = proxy
    async with aiohttp.ClientSession() as session:
        for path in (CONSUMERS, f"{CONSUMERS}?limit=250", f"{CONSUMERS}/x"):
            async with session.get(address + path) as answer:
                assert answer.status == 200
    assert made.calls == {"LIST telemetryconsumers": 2, "GET telemetryconsumers": 1}
