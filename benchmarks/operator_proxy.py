"""Stands between an operator and the API server, hands everything on, and counts it: watches and lists as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from yarl import URL

from benchmarks.operator_cluster import Cluster

_HANDED_ON = ("Accept", "Content-Type", "User-Agent")
_BODY_BYTES = 16 * 1024 * 1024


class CountingProxy:
    """Plain HTTP on the loopback, with the cluster's credentials behind it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.calls: Counter[str] = Counter()
        """By method (LIST and WATCH among them) and kind of object; a watch counts once, when it begins."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen on a free port while the block runs; gives the address."""
        application = web.Application(client_max_size=_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._hand_on)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _hand_on(self, request: web.Request) -> web.StreamResponse:
        self.calls[_describe(request)] += 1
        headers = {name: request.headers[name] for name in _HANDED_ON if name in request.headers}
        url = URL(self._cluster.host + request.raw_path, encoded=True)
        body = await request.read() or None  # an empty one would get a type, which the API server refuses
        try:
            async with self._cluster.session.request(request.method, url, data=body, headers=headers) as upstream:
                response = web.StreamResponse(
                    status=upstream.status, headers={"Content-Type": upstream.headers.get("Content-Type", "")}
                )
                await response.prepare(request)
                async for chunk in upstream.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except aiohttp.ClientError as error:
            raise web.HTTPBadGateway(text=str(error)) from error


def _describe(request: web.Request) -> str:
    parts = request.path.strip("/").split("/")
    kinds = {"telemetryconsumers", "deployments", "pods", "events", "scaledobjects", "configmaps"}
    kind = next((part for part in parts if part in kinds), request.path)
    verb = "LIST" if request.method == "GET" and parts[-1] == kind else request.method
    status = " status" if parts[-1] == "status" else ""
    return f"{'WATCH' if request.query.get('watch') else verb} {kind}{status}"
