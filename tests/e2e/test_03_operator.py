"""The operator keeps what it made, lets go of what is deleted, and answers mistakes with a sentence."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from e2e.kube import KubectlError, restarts
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MENDED_WITHIN_SECONDS = 5.0
NAME = "kept"


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "telemetry.iot-hub.io/v1alpha1",
        "kind": "TelemetryConsumer",
        "metadata": {"name": name},
        "spec": {"topics": ["telemetry.clean"], "handler": {"name": "logger"}, **spec},
    }


def delete(release: Release, name: str) -> None:
    release.kube.run("delete", "telemetryconsumer", name, "--ignore-not-found", "--timeout=60s")


def verdict(release: Release, name: str) -> dict[str, dict[str, Any]]:
    """Return a TelemetryConsumer's conditions by type, once the operator has seen its present generation."""
    found = release.kube.find("telemetryconsumer", name) or {}
    status = found.get("status", {})
    if not found or status.get("observedGeneration") != found["metadata"]["generation"]:
        return {}
    return {condition["type"]: condition for condition in status.get("conditions", [])}


@pytest.fixture
def kept(release: Release) -> Iterator[str]:
    release.kube.apply(manifest(NAME))
    release.kube.wait("condition=Ready", f"telemetryconsumer/{NAME}", timeout=90)
    yield NAME
    delete(release, NAME)


def _scale(container: dict[str, Any], spec: dict[str, Any]) -> None:
    spec["replicas"] = 0


def _image(container: dict[str, Any], spec: dict[str, Any]) -> None:
    container["image"] = "example.invalid/other:1"


def _environment(container: dict[str, Any], spec: dict[str, Any]) -> None:
    next(entry for entry in container["env"] if entry["name"] == "CONSUMER_TOPICS")["value"] = "telemetry.raw"


@pytest.mark.parametrize("change", [_scale, _image, _environment])
def test_a_deployment_edited_by_hand_is_put_right(
    release: Release, kept: str, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> None:
    before = release.kube.get("deployment", kept)["spec"]
    edited = json.loads(json.dumps(before))
    change(edited["template"]["spec"]["containers"][0], edited)
    assert edited != before

    release.kube.run("patch", "deployment", kept, "--type=merge", "-p", json.dumps({"spec": edited}))

    begun = time.monotonic()
    wait_until(
        lambda: release.kube.get("deployment", kept)["spec"] == before, timeout=30, interval=0.1, what="the old spec"
    )
    assert time.monotonic() - begun <= MENDED_WITHIN_SECONDS


def test_a_deployment_deleted_by_hand_comes_back(release: Release, kept: str) -> None:
    before = release.kube.get("deployment", kept)["metadata"]["uid"]
    release.kube.run("delete", "deployment", kept, "--wait=false")

    def another() -> bool:
        found = release.kube.find("deployment", kept)
        return found is not None and found["metadata"]["uid"] != before

    begun = time.monotonic()
    wait_until(another, timeout=30, interval=0.1, what="another Deployment")
    assert time.monotonic() - begun <= MENDED_WITHIN_SECONDS
    release.kube.wait("condition=Ready", f"telemetryconsumer/{kept}", timeout=90)


def test_a_consumer_deleted_while_the_operator_is_away_takes_its_deployment_along(release: Release, kept: str) -> None:
    kube = release.kube
    operator = release.pod_of("operator")
    owner = operator.rsplit("-", 2)[0]
    kube.run("scale", f"deployment/{owner}", "--replicas=0")
    try:
        kube.run("wait", "--for=delete", f"pod/{operator}", "--timeout=60s")
        assert not kube.get("telemetryconsumer", kept)["metadata"].get("finalizers")

        # Without --wait=false kubectl returns only once the object is gone: a finalizer would hang here.
        kube.run("delete", "telemetryconsumer", kept, "--timeout=30s")

        kube.run("wait", "--for=delete", f"deployment/{kept}", "--timeout=60s")
        kube.wait_for_pods(release.consumer_pods(kept), 0)
    finally:
        kube.run("scale", f"deployment/{owner}", "--replicas=1")
        kube.run("rollout", "status", f"deployment/{owner}", "--timeout=120s")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no-topics": ({"topics": []}, r"spec\.topics.*at least 1"),
    "topic-with-a-blank": ({"topics": ["telemetry raw"]}, r"letters, digits, '\.', '_' and '-' only: write"),
    "negative-replicas": ({"replicas": -1}, r"spec\.replicas.*greater than or equal to 0"),
    "unknown-handler": (
        {"handler": {"name": "loger"}},
        r"built-in handlers are logger and validator: write one of them",
    ),
    "two-handlers": ({"handler": {"name": "logger", "class": "a.b:C"}}, r"write either name.*or class"),
    "no-handler": ({"handler": {}}, r"write which handler: name: logger"),
    "dead-letters-eaten": (
        {"deadLetter": {"topic": "telemetry.clean"}},
        r"telemetry\.clean is also in topics.*write a topic that is not in topics",
    ),
    "misspelt-field": ({"replica": 2}, r'unknown field "spec\.replica"'),
    "not-a-time": ({"startFrom": "yesterday"}, r"write earliest, latest, or a time with its zone"),
    "operators-variable": (
        {"env": [{"name": "KAFKA_GROUP_ID", "value": "x"}]},
        r"KAFKA_GROUP_ID.*write the field of the spec",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_seen_at_once_is_refused_with_a_sentence(release: Release, name: str) -> None:
    spec, sentence = REFUSED[name]
    try:
        with pytest.raises(KubectlError) as refusal:
            release.kube.apply(manifest(name, **spec))
    finally:
        delete(release, name)
    assert re.search(sentence, refusal.value.output), refusal.value.output


STALLED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no-such-module": ({"handler": {"class": "no_such_package.handlers:Mine"}}, "HandlerNotFound", r"no_such_package"),
    "no-such-class": (
        {"handler": {"class": "consumers.telemetry_raw_logger:Nothing"}},
        "HandlerNotFound",
        r"consumers\.telemetry_raw_logger.*Nothing",
    ),
    "no-such-option": ({"handler": {"name": "logger", "options": {"colour": "red"}}}, r"Handler\w+", r"colour"),
}


@pytest.mark.parametrize("name", STALLED)
def test_what_can_never_work_is_stalled_with_a_sentence(release: Release, name: str) -> None:
    spec, reason, sentence = STALLED[name]
    release.kube.apply(manifest(name, **spec))
    try:
        conditions = wait_until(
            lambda: (now := verdict(release, name)).get("Stalled", {}).get("status") == "True" and now,
            timeout=90,
            interval=0.5,
            what=f"{name} to be stalled",
            hint=lambda: release.kube.run("get", "telemetryconsumer", name, "-o", "yaml"),
        )
        assert conditions
        assert conditions["Ready"]["status"] == "False"
        assert re.fullmatch(reason, conditions["Stalled"]["reason"])
        assert re.search(sentence, conditions["Stalled"]["message"])
    finally:
        delete(release, name)


def test_a_config_map_that_is_not_there_may_still_come(release: Release) -> None:
    name = "handler-to-come"
    spec = {"handler": {"configMap": {"name": name, "key": "mine.py"}, "class": "Mine"}}
    release.kube.apply(manifest(name, **spec))
    try:
        wait_until(
            lambda: verdict(release, name).get("Reconciling", {}).get("reason") == "HandlerConfigMapMissing",
            timeout=60,
            interval=0.5,
            what="the missing ConfigMap to be named",
        )
        code = "class Mine:\n    def handle(self, payload):\n        pass\n"
        config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"mine.py": code}}
        release.kube.apply(config_map)
        release.kube.wait("condition=Ready", f"telemetryconsumer/{name}", timeout=120)
    finally:
        delete(release, name)
        release.kube.run("delete", "configmap", name, "--ignore-not-found")


def test_a_topic_that_is_not_there_may_still_come(release: Release) -> None:
    name, topic = "topic-to-come", "e2e.still-to-come"
    release.kube.apply(manifest(name, topics=[topic]))
    try:
        conditions = wait_until(
            lambda: (now := verdict(release, name)).get("Reconciling", {}).get("reason") == "TopicNotFound" and now,
            timeout=90,
            interval=0.5,
            what="the missing topic to be named",
            hint=lambda: release.kube.run("get", "telemetryconsumer", name, "-o", "yaml"),
        )
        assert conditions
        assert topic in conditions["Reconciling"]["message"]
        assert conditions["Stalled"]["status"] == "False"

        release.tool("create-topic", "--topic", topic)

        release.kube.wait("condition=Ready", f"telemetryconsumer/{name}", timeout=180)
    finally:
        delete(release, name)


def test_a_group_id_cannot_be_changed(release: Release) -> None:
    name = "group-kept"
    release.kube.apply(manifest(name, groupId="one", replicas=0))
    try:
        with pytest.raises(KubectlError, match="groupId can't be changed"):
            release.kube.apply(manifest(name, groupId="two", replicas=0))
    finally:
        delete(release, name)


def test_none_of_it_made_the_operator_restart(release: Release) -> None:
    assert restarts(release.kube.get("pod", release.pod_of("operator"))) == 0
