"""The only Kubernetes client of our own: lists, reads, server-side apply, status, events, and KEDA's watches.

The other watches are kopf's. It is HTTP and JSON, with the credentials that kopf finds; objects are plain dicts. The
``kubernetes`` package, even of which only the connection is used, would take more memory and half of the time of each
call.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
import kopf
import orjson
import yaml

from telemetry_operator import naming
from telemetry_operator.api import Manifest, Resource
from telemetry_operator.errors import (
    Conflict,
    Invalid,
    Leaving,
    Missing,
    Refused,
    SettingsError,
    Unavailable,
    Unreachable,
)
from telemetry_operator.login import Connection, find_connection
from telemetry_operator.metrics import API_CALLS

CALL_SECONDS = 20.0
"""Longest wait for an answer, with the connection that it takes."""
ANSWER_SECONDS = 10.0
"""Longest silence in place of an answer: a connection that a router forgot says nothing, and a new one is well."""
PAGE_SIZE = 250
"""Objects in one answer to a list, so that a large cluster is never in memory as a whole."""

CREDENTIALS_SECONDS = 60.0
"""How long credentials are taken for those that hold: the kubelet replaces a pod's token before it expires."""
UNAUTHORIZED = 401

_NAMESPACE_LEAVES = "NamespaceTerminating"
"""The API server's word in the details of a refusal."""
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_TIMEOUT = aiohttp.ClientTimeout(total=CALL_SECONDS, sock_read=ANSWER_SECONDS)
_WATCH_SECONDS = 300
"""How long the server goes on telling before it has to be asked anew."""
_SILENCE_SECONDS = 75
"""A connection that is alive brings a bookmark each minute."""
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=_WATCH_SECONDS + 30, sock_connect=10, sock_read=_SILENCE_SECONDS)
_TRY_AGAIN = frozenset({UNAUTHORIZED, 408, 429, 500, 502, 503, 504})


class Cluster:
    """One API server, as `telemetry_operator.api.ClusterApi` has it; to be entered."""

    def __init__(self, find: Callable[[], Connection], *, clock: Callable[[], float] = time.monotonic) -> None:
        """``find`` returns the connection; it is asked again now and then, since a pod's token changes."""
        self._find = find
        self._clock = clock
        connection = find()
        self._host = connection.server.rstrip("/")
        self._headers = connection.as_http_headers()
        self._read_at = clock()
        try:
            self._ssl = connection.as_ssl_context()
        except (OSError, ValueError) as error:
            raise SettingsError(f"KUBECONFIG: its certificates can't be used: {error}") from error
        self._proxy = connection.proxy_url
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(cls) -> Cluster:
        """Return the cluster that the pod runs in, else the one that KUBECONFIG names.

        Raises SettingsError where neither can be read.
        """
        settings = kopf.OperatorSettings()

        def find() -> Connection:
            try:
                found = find_connection(settings=settings)
            except (kopf.LoginError, yaml.YAMLError, OSError, LookupError, TypeError, AttributeError) as error:
                raise SettingsError(f"KUBECONFIG: names no cluster that can be reached: {error}") from error
            if found is None:
                raise SettingsError("KUBECONFIG: is not set, and this is no pod: there is no cluster to be reached")
            return found

        return cls(find)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": naming.OPERATOR})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def list_objects(
        self, resource: Resource, namespace: str | None, selector: str | None = None
    ) -> tuple[list[Manifest], int]:
        """Return all objects of a namespace (None: of the cluster), and the resource version they were listed at."""
        found: list[Manifest] = []
        query = {"limit": str(PAGE_SIZE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._call("GET", resource.path(namespace), query=query)
            found += page["items"]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                # Pages that follow are of the first one's version; the last one says it too.
                return found, int(metadata["resourceVersion"])
            query = query | {"continue": metadata["continue"]}

    async def follow(
        self, resource: Resource, namespace: str | None, selector: str, version: int
    ) -> AsyncIterator[tuple[str, Manifest]]:
        """Yield what happens to objects after ``version``: ADDED, MODIFIED or DELETED, and the object as it then is.

        Ends after some minutes; Unavailable where that version is too old by now, or the connection falls silent.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "labelSelector": selector}
        query |= {"resourceVersion": str(version), "timeoutSeconds": str(_WATCH_SECONDS)}
        action = f"watch {resource.path(namespace)}"
        with self._reaching(action):
            response = await self._send("GET", resource.path(namespace), query=query, timeout=_WATCH_TIMEOUT)
            try:
                if response.status >= 300:
                    raise self._explain(action, response.status, await response.read())
                line = b""
                async for chunk in response.content.iter_any():
                    *lines, line = (line + chunk).split(b"\n")
                    for event in map(orjson.loads, filter(None, lines)):
                        if event["type"] == "ERROR":
                            raise Unavailable(f"{action}: {event['object'].get('message', '')}")
                        if event["type"] != "BOOKMARK":
                            yield event["type"], event["object"]
            finally:
                response.close()

    async def read(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """Return an object, None where there is none."""
        try:
            return await self._call("GET", resource.path(namespace, name))
        except Missing:
            return None

    async def apply(
        self, resource: Resource, manifest: Manifest, *, force: bool, manager: str = naming.OPERATOR
    ) -> Manifest:
        """Apply ``manifest`` server-side and return the object as it then is.

        With ``force`` fields are taken over from whoever holds them; without it that raises Conflict. A ``uid`` in the
        manifest makes it Conflict, too, where another object has the name by now.
        """
        metadata = manifest["metadata"]
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        path = resource.path(metadata.get("namespace"), metadata["name"])
        return await self._call("PATCH", path, query=query, body=manifest, content_type=_APPLY)

    async def patch_status(
        self, resource: Resource, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Manifest:
        """Merge ``status`` into an object's status, unless the name belongs to another object by now (Conflict)."""
        body = {"metadata": {"uid": uid}, "status": dict(status)}
        query = {"fieldManager": naming.OPERATOR}
        path = resource.path(namespace, name, "status")
        return await self._call("PATCH", path, query=query, body=body, content_type=_MERGE)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete an object, unless it is gone or the name belongs to another one by now."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self._call("DELETE", resource.path(namespace, name), body=body)
        except (Missing, Conflict):
            return

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create an object and return it as it then is."""
        path = resource.path(manifest["metadata"].get("namespace"))
        return await self._call("POST", path, query={"fieldManager": naming.OPERATOR}, body=manifest)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        action = f"{method} {path}"
        API_CALLS.labels(method=method, resource=_resource_of(path)).inc()
        with self._reaching(action):
            response = await self._send(method, path, query=query, body=body, content_type=content_type)
            data = await response.read()
        if response.status < 300:
            answer: Manifest = orjson.loads(data)
            return answer
        raise self._explain(action, response.status, data)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the cluster has to be entered first")
        return await self._session.request(
            method,
            self._host + path,
            params=query,
            # Not orjson: what a pod has said may hold half a surrogate pair, which that refuses.
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Accept": "application/json", "Content-Type": content_type, **self._read_credentials()},
            proxy=self._proxy,
            timeout=timeout,
        )

    @contextmanager
    def _reaching(self, action: str) -> Iterator[None]:
        """Raise Unreachable where the block gets no answer."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{action}: {self._host} gives no answer: {error or type(error).__name__}") from error

    def _explain(self, action: str, status: int, data: bytes) -> Unavailable | Refused:
        if status == UNAUTHORIZED:
            # It comes of a token that was rotated meanwhile: the next call reads it anew.
            self._read_at = float("-inf")
        return _explain(action, status, data)

    def _read_credentials(self) -> Mapping[str, str]:
        """Return the headers with the credentials, read anew now and then and after the server did not take them."""
        now = self._clock()
        if now - self._read_at >= CREDENTIALS_SECONDS:
            try:
                self._headers, self._read_at = self._find().as_http_headers(), now
            except SettingsError as error:
                raise Unavailable(f"the credentials can't be read anew: {error}") from error
        return self._headers


def _resource_of(path: str) -> str:
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    return parts[2] if parts[0] == "namespaces" and len(parts) > 2 else parts[0]


def _explain(action: str, status: int, data: bytes) -> Unavailable | Refused:
    try:
        answer = json.loads(data)
        reason, message = str(answer.get("reason", "Unknown")), str(answer.get("message", ""))
        causes = {cause.get("reason") for cause in (answer.get("details") or {}).get("causes") or ()}
    except (ValueError, AttributeError):
        reason, message, causes = "Unknown", data[:200].decode("utf-8", "replace"), set()
    if status in _TRY_AGAIN:
        return Unavailable(f"{action}: {message} ({status} {reason})")
    kind = {400: Invalid, 404: Missing, 409: Conflict, 422: Invalid}.get(status, Refused)
    if _NAMESPACE_LEAVES in causes:
        kind = Leaving
    return kind(action, status, reason, message)
