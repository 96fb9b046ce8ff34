"""The columns of `iothub get`: those of the CRD, printed as kubectl prints them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from iothub.hub.columns import build_consumer_table, build_part_table, format_age, load_columns, read_path

BODY: dict[str, Any] = {
    "metadata": {"name": "alarm", "creationTimestamp": "2026-02-20T22:45:00Z"},
    "spec": {"topics": ["telemetry.raw", "telemetry.clean"], "replicas": 2},
    "status": {
        "groupId": "plant.alarm",
        "readyReplicas": 0,
        "lag": 12,
        "deadLettered": {"count": 3},
        "image": "this-machine",
        "conditions": [
            {"type": "Stalled", "status": "False", "reason": "NotStalled", "message": ""},
            {"type": "Ready", "status": "False", "reason": "RollingOut", "message": "0 of 2 workers are ready"},
        ],
    },
}
NOW = datetime(2026, 2, 20, 22, 50, 10, tzinfo=UTC)


def test_as_kubectl_prints_them() -> None:
    headers, rows = build_consumer_table(load_columns(), [BODY], wide=False, now=NOW)
    assert headers == ["name", "Topics", "Group", "Desired", "Ready", "Lag", "Dead", "Status", "Age"]
    topics = '["telemetry.raw","telemetry.clean"]'
    assert rows == [["alarm", topics, "plant.alarm", "2", "0", "12", "3", "RollingOut", "5m10s"]]


def test_wide_adds_the_sentence_and_the_image() -> None:
    headers, rows = build_consumer_table(load_columns(), [BODY], wide=True, now=NOW)
    assert headers[-2:] == ["Reason", "Image"]
    assert rows[0][-2:] == ["0 of 2 workers are ready", "this-machine"]


def test_what_is_not_there_yet() -> None:
    fresh = {"metadata": BODY["metadata"], "spec": {"topics": ["t"], "replicas": 1}}
    _, rows = build_consumer_table(load_columns(), [fresh], wide=False, now=NOW)
    assert rows == [["alarm", '["t"]', "", "1", "<none>", "<none>", "<none>", "", "5m10s"]]


def test_a_path_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="not understood"):
        read_path(BODY, ".spec.topics[*]")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-3, "0s"),
        (59, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (600, "10m"),
        (631, "10m"),
        (3_600, "1h"),
        (3_660, "1h1m"),
        (90_000, "1d1h"),
        (40 * 86_400, "40d"),
        (400 * 86_400, "1y35d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


def test_parts() -> None:
    part = {
        "name": "mqtt",
        "kind": "mqtt",
        "state": "waiting",
        "pid": None,
        "restarts": 2,
        "address": "127.0.0.1:1883",
        "software": "amqtt",
    }
    assert build_part_table([part]) == (
        ["name", "state", "pid", "restarts", "address", "software"],
        [["mqtt", "waiting", "", "2", "127.0.0.1:1883", "amqtt"]],
    )
