"""kopf's decorators: each handler unpacks its arguments and hands them on, nothing more.

All of them only look (``kopf.on.event``): none keeps state in annotations or asks for a finalizer, on the
TelemetryConsumer as little as on its children. A TelemetryConsumer can therefore always be deleted, and a child's
change, the start of the operator and a missed edit all take the same way as an edit that was seen.
"""

from __future__ import annotations

from typing import Any

import kopf

from telemetry_operator import naming
from telemetry_operator.controller import Controller
from telemetry_operator.kopf_settings import configure_kopf
from telemetry_operator.login import find_connection

_GONE = "DELETED"


@kopf.on.login()
def log_in(**arguments: Any) -> kopf.ConnectionInfo | None:
    """Give kopf its credentials."""
    return find_connection(**arguments)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Set kopf up and start what runs beside it."""
    configure_kopf(settings)
    _controller(memo).start()


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """Stop what runs beside kopf; it would wait for it in vain."""
    await _controller(memo).stop()


@kopf.on.event(naming.GROUP, naming.VERSION, naming.PLURAL)
async def consumer_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A TelemetryConsumer came, changed or went."""
    _controller(memo).see_consumer(event["object"], gone=event["type"] == _GONE)


@kopf.on.event("apps", "v1", "deployments")
async def deployment_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A Deployment with our label came, changed or went."""
    _controller(memo).see_deployment(event["object"], gone=event["type"] == _GONE)


@kopf.on.event("", "v1", "pods")
async def pod_changed(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A pod with our label came, changed or went."""
    _controller(memo).see_pod(event["object"], gone=event["type"] == _GONE)


def _controller(memo: kopf.Memo) -> Controller:
    controller: Controller = memo.controller
    return controller
