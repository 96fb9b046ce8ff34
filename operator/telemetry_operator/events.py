"""Sends the Events that ``kubectl describe`` shows."""

from __future__ import annotations

import socket
from datetime import datetime

import structlog

from telemetry_operator.api import EVENTS, ClusterApi
from telemetry_operator.errors import ClusterError
from telemetry_operator.facts import ConsumerFact
from telemetry_operator.objects.event import build_event

log = structlog.get_logger(__name__)


class EventSender:
    """Sends Events about TelemetryConsumers."""

    def __init__(self, cluster: ClusterApi) -> None:
        self._cluster = cluster
        self._instance = socket.gethostname()

    async def send(self, fact: ConsumerFact, reason: str, note: str, at: datetime, *, harmless: bool) -> None:
        """Send one; where that fails it is logged: the status has it too, and it is not worth another reconcile."""
        event = build_event(
            fact.key,
            fact.uid,
            kind="Normal" if harmless else "Warning",
            reason=reason,
            note=note,
            action="Reconcile",
            at=at,
            instance=self._instance,
        )
        try:
            await self._cluster.create(EVENTS, event)
        except ClusterError as error:
            log.warning("event not sent", consumer=str(fact.key), problem=str(error))
