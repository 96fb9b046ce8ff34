"""What the operator's benchmarks ask of the cluster that KUBECONFIG names, with a client that no contender has."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import kopf
import orjson

from benchmarks.child import BenchmarkFailed
from telemetry_operator import naming
from telemetry_operator.api import CONSUMERS, DEPLOYMENTS
from telemetry_operator.login import Connection, find_connection

Body = dict[str, Any]

HANDS = 16
"""Requests at the same time where many objects are made at once."""
_NAMESPACES = "/api/v1/namespaces"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MERGE = "application/merge-patch+json"
_GONE_SECONDS = 300.0
_LOOK_SECONDS = 0.2
_LINE_BYTES = 4 * 1024 * 1024


class Cluster:
    """An API server and how to reach it; to be entered."""

    def __init__(self, connection: Connection) -> None:
        self.host = connection.server.rstrip("/")
        self._connection = connection
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(cls) -> Cluster:
        """Return the cluster of KUBECONFIG. Raises BenchmarkFailed where there is none."""
        if not os.environ.get("KUBECONFIG"):
            raise BenchmarkFailed("there is no cluster to run on: KUBECONFIG is not set")
        try:
            connection = find_connection(settings=kopf.OperatorSettings())
        except (kopf.LoginError, OSError, LookupError) as error:
            raise BenchmarkFailed(f"KUBECONFIG names no cluster that can be reached: {error}") from error
        if connection is None:
            raise BenchmarkFailed("KUBECONFIG names no cluster")
        return cls(connection)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        connector = aiohttp.TCPConnector(limit=4 * HANDS, ssl=self._connection.as_ssl_context())
        headers = self._connection.as_http_headers()
        self._session = aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout, read_bufsize=_LINE_BYTES
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, with credentials."""
        if self._session is None:
            raise RuntimeError("the cluster was not entered")
        return self._session

    async def call(
        self, method: str, path: str, body: Body | None = None, content_type: str = "application/json"
    ) -> Body:
        """Return what the API server answers. Raises BenchmarkFailed where it does not do what is asked."""
        data = orjson.dumps(body) if body is not None else None
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        try:
            async with self.session.request(method, self.host + path, data=data, headers=headers) as response:
                answer: Body = orjson.loads(await response.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise BenchmarkFailed(f"{method} {path}: {error or type(error).__name__}") from error
        if response.status >= 300:
            raise BenchmarkFailed(f"{method} {path}: {answer.get('message', response.status)}")
        return answer

    async def list_items(self, path: str) -> list[Body]:
        """Return all objects of a kind."""
        return list((await self.call("GET", path))["items"])

    async def create_consumers(self, namespace: str, names: Iterable[str], spec: Mapping[str, Any]) -> None:
        """Make TelemetryConsumers of the same spec, as fast as they are taken."""
        left = iter(list(names))

        async def work() -> None:
            for name in left:
                await self.call("POST", CONSUMERS.path(namespace), build_consumer(name, spec))

        async with asyncio.TaskGroup() as group:
            for _ in range(HANDS):
                group.create_task(work())

    async def patch_consumer(self, namespace: str, name: str, spec: Mapping[str, Any]) -> None:
        """Merge ``spec`` into a TelemetryConsumer's."""
        await self.call("PATCH", CONSUMERS.path(namespace, name), {"spec": dict(spec)}, _MERGE)

    @asynccontextmanager
    async def namespace(self, name: str) -> AsyncIterator[str]:
        """Make a namespace, and delete it with all that is in it; returns once it is gone."""
        await self.call("POST", _NAMESPACES, {"metadata": {"name": name}})
        try:
            yield name
        finally:
            await self.call("DELETE", f"{_NAMESPACES}/{name}")
            await until(lambda: self._is_gone(name), seconds=_GONE_SECONDS, what=f"namespace {name} to be gone")

    async def settle(self, namespace: str, deployments: int, seconds: float) -> None:
        """Return once so many Deployments are there and their controller has seen all of them."""

        async def is_settled() -> bool:
            found = await self.list_items(DEPLOYMENTS.path(namespace))
            seen = [
                body["status"].get("observedGeneration", 0) >= body["metadata"]["generation"]
                and bool(body["status"].get("conditions"))
                for body in found
            ]
            return len(seen) == deployments and all(seen)

        await until(is_settled, seconds=seconds, what=f"{deployments} Deployments of {namespace} to be settled")

    async def _is_gone(self, name: str) -> bool:
        async with self.session.get(f"{self.host}{_NAMESPACES}/{name}") as response:
            return response.status == 404


class Sightings:
    """What a watch shows of the Deployments of a namespace, from when it is entered; times are monotonic seconds."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._path = DEPLOYMENTS.path(namespace)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.first: dict[str, float] = {}
        """When each was first seen."""
        self.generations: dict[str, tuple[int, float]] = {}
        """The newest generation of each, and when it was first seen."""

    async def __aenter__(self) -> Self:
        version = (await self._cluster.call("GET", f"{self._path}?limit=1"))["metadata"]["resourceVersion"]
        self._task = asyncio.create_task(self._watch(version))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def is_newer(self, name: str, generation: int) -> bool:
        """Return whether a generation after that one was seen."""
        return self.generations[name][0] > generation

    async def wait_for(self, condition: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Return at once when the watch has shown what makes ``condition`` true. Raises BenchmarkFailed."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self._task is not None and self._task.done():
                        self._task.result()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise BenchmarkFailed(f"waited {seconds:.0f} s for {what}; Deployments: {len(self.first)}") from None

    async def _watch(self, version: str) -> None:
        url = f"{self._cluster.host}{self._path}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        try:
            async with self._cluster.session.get(url, headers={"Accept": _METADATA_ONLY}) as response:
                async for line in response.content:
                    self._take(orjson.loads(line)["object"]["metadata"], time.monotonic())
            raise BenchmarkFailed("the watch of the Deployments ended")
        except (aiohttp.ClientError, KeyError) as error:
            raise BenchmarkFailed(f"the watch of the Deployments broke: {error!r}") from error
        finally:
            self._news.set()

    def _take(self, metadata: Body, now: float) -> None:
        name, generation = metadata["name"], metadata["generation"]
        self.first.setdefault(name, now)
        if generation > self.generations.get(name, (0, 0.0))[0]:
            self.generations[name] = (generation, now)
        self._news.set()


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float, what: str) -> None:
    """Return once ``condition`` holds. Raises BenchmarkFailed after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(_LOOK_SECONDS)


def build_consumer(name: str, spec: Mapping[str, Any]) -> Body:
    """Return the manifest of a TelemetryConsumer."""
    return {
        "apiVersion": CONSUMERS.api_version,
        "kind": naming.KIND,
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def build_names(count: int, *, start: int = 0) -> list[str]:
    """Return ``count`` names, from the one with the number ``start``."""
    return [f"consumer-{number:04}" for number in range(start, start + count)]


def write_kubeconfig(path: Path, server: str) -> None:
    """Write a KUBECONFIG of a server that asks for no credentials."""
    named = {"name": "bench"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [named | {"cluster": {"server": server}}],
        "users": [named | {"user": {}}],
        "contexts": [named | {"context": {"cluster": "bench", "user": "bench"}}],
        "current-context": "bench",
    }
    path.write_bytes(orjson.dumps(document))
