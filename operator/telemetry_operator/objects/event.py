"""From a transition to the Event that ``kubectl describe`` shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from telemetry_operator import naming
from telemetry_operator.naming import Key

_NOTE_CHARACTERS = 1024
"""Longest note that the API server takes."""


def build_event(
    key: Key,
    uid: str,
    *,
    kind: Literal["Normal", "Warning"],
    reason: str,
    note: str,
    action: str,
    at: datetime,
    instance: str,
) -> dict[str, Any]:
    """Return an Event about the TelemetryConsumer ``key``; ``at`` is in UTC, ``instance`` the operator's pod."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{key.name}-", "namespace": key.namespace},
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"{naming.GROUP}/{naming.OPERATOR}",
        "reportingInstance": instance[:128],
        "action": action,
        "type": kind,
        "reason": reason[:128],
        "note": note if len(note) <= _NOTE_CHARACTERS else note[: _NOTE_CHARACTERS - 1] + "…",
        "regarding": {
            "apiVersion": f"{naming.GROUP}/{naming.VERSION}",
            "kind": naming.KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
        },
    }
