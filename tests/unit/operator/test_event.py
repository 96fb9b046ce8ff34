"""The Event of a transition, within what the API server takes."""

from __future__ import annotations

from datetime import UTC, datetime

from telemetry_operator.objects.event import build_event
from unit.operator.samples import KEY, UID


def test_an_event_is_about_the_consumer() -> None:
    event = build_event(
        KEY,
        UID,
        kind="Warning",
        reason="TopicNotFound",
        note="no topic",
        action="Reconcile",
        at=datetime(2026, 2, 20, 22, 45, 1, 5, tzinfo=UTC),
        instance="operator-0",
    )
    assert event["regarding"] == {
        "apiVersion": "telemetry.iot-hub.io/v1alpha1",
        "kind": "TelemetryConsumer",
        "namespace": KEY.namespace,
        "name": KEY.name,
        "uid": UID,
    }
    assert event["eventTime"] == "2026-02-20T22:45:01.000005Z"
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "TopicNotFound", "no topic")


def test_a_long_note_is_cut_to_what_is_taken() -> None:
    event = build_event(
        KEY,
        UID,
        kind="Normal",
        reason="R",
        note="ä" * 3000,
        action="Reconcile",
        at=datetime(2026, 2, 20, tzinfo=UTC),
        instance="x" * 300,
    )
    assert len(event["note"]) == 1024
    assert event["note"].endswith("…")
    assert len(event["reportingInstance"]) == 128
