"""``/healthz``, ``/readyz`` and ``/metrics``.

They are answered by the event loop that does the work: where it stands still, the probe gets no answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from telemetry_operator.errors import SettingsError
from telemetry_operator.liveness import Liveness
from telemetry_operator.metrics import REGISTRY


class Probes:
    """The HTTP server of the probes."""

    def __init__(self, liveness: Liveness) -> None:
        application = web.Application()
        application.router.add_get("/healthz", _answer(liveness.find_deaths))
        application.router.add_get("/readyz", _answer(liveness.find_troubles))
        application.router.add_get("/metrics", _answer_metrics)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)

    async def start(self, port: int) -> int:
        """Listen on ``port`` (0: a free one) and return it. Raises SettingsError where it is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, port=port).start()
        except OSError as error:
            raise SettingsError(f"HTTP_PORT: can't listen on port {port}: {error.strerror}") from error
        # IPv4 and IPv6 have a socket each, and where the port was left open, a port each.
        return int(min(self._runner.addresses, key=len)[1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def _answer(find: Callable[[], dict[str, str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        problems = find()
        body = json.dumps({"ok": not problems, "problems": problems})
        return web.Response(status=503 if problems else 200, text=body, content_type="application/json")

    return answer


async def _answer_metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
