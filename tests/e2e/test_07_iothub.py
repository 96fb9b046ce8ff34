"""`iothub` on the cluster, as a person types it: ports are forwarded for them, and gone when the command ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from e2e.kube import restarts
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.release import Release

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MESSAGES = 60


def words(release: Release, command: str, *arguments: str) -> list[str]:
    """Return what is typed to look into the release."""
    context = subprocess.run(["kubectl", "config", "current-context"], capture_output=True, text=True, check=True)
    where = ["--context", context.stdout.strip(), "--namespace", release.kube.namespace, "--release", release.name]
    return [sys.executable, "-m", "iothub", *command.split(), *arguments, *where]


def iothub(release: Release, command: str, *arguments: str) -> str:
    """Run a command against the release and return its result."""
    done = subprocess.run(words(release, command, *arguments), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def ask(release: Release, command: str, *arguments: str) -> Any:
    """Run a command and return its result, parsed."""
    return json.loads(iothub(release, command, *arguments, "--output", "json"))


def forwards(release: Release) -> list[list[str]]:
    """Return the port-forwards to the release that run on this machine."""
    found = []
    for process in psutil.process_iter():
        try:
            call = process.cmdline()
        except psutil.Error:
            continue
        if "port-forward" in call and release.kube.namespace in call:
            found.append(call)
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left(release: Release) -> Iterator[None]:
    yield
    assert forwards(release) == []


def test_devices_are_played_and_what_they_send_is_seen(release: Release) -> None:
    """Given readings and damaged ones, when they are sent, then every command sees what became of them."""
    sent = ask(release, "simulate", "--messages", str(MESSAGES), "--rate", "60", "--damaged", "0.3", "--seed", "7")
    assert sent["acknowledged"] == MESSAGES

    group = release.validator()["status"]["groupId"]
    release.settle(group)
    topics = {topic["topic"]: topic for topic in ask(release, "topics")}
    assert {"telemetry.raw", "telemetry.clean", "telemetry.dlq"} <= set(topics)
    assert len(topics["telemetry.raw"]["partitions"]) == 6

    assert group in {entry["group"] for entry in ask(release, "groups")}
    assert group in iothub(release, "lag", group)

    assert sum(count["dead_letters"] for count in ask(release, "dlq ls")) >= sum(sent["damaged"].values()) > 0
    newest = iothub(release, "tail", "telemetry.clean", "--from=-5", "--no-follow", "--json").splitlines()
    assert len(newest) == 5
    assert all(json.loads(line)["topic"] == "telemetry.clean" for line in newest)


def test_a_command_outlives_a_restart_of_kafka(release: Release) -> None:
    """Given one who follows a topic, when Kafka is killed and comes back, then they see what is sent afterwards."""
    follow = words(release, "tail", "telemetry.clean", "--json")
    with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tail:
        try:
            assert tail.stdout is not None
            wait_until(lambda: forwards(release), what="the port-forward")
            ask(release, "simulate", "--messages", "5", "--rate", "50")
            assert json.loads(tail.stdout.readline())["topic"] == "telemetry.clean"
            for _ in range(4):
                tail.stdout.readline()

            pod = release.pod_of("kafka")
            before = restarts(release.kube.get("pod", pod))
            release.killer.kill(release.kube, pod)
            wait_until(lambda: restarts(release.kube.get("pod", pod)) > before, timeout=60, what="Kafka's restart")
            release.kube.wait("condition=Ready", f"pod/{pod}")
            ask(release, "simulate", "--messages", "20", "--rate", "50")
            lines = [json.loads(tail.stdout.readline()) for _ in range(20)]
            assert {line["topic"] for line in lines} == {"telemetry.clean"}
        finally:
            tail.terminate()


def test_the_doctor_finds_the_release_well(release: Release) -> None:
    """Given what the tests before have done to it, when that has settled, then nothing is wrong."""
    report: dict[str, Any] = {}

    def nothing_is_wrong() -> bool:
        done = subprocess.run(
            words(release, "doctor", "--output", "json"), capture_output=True, text=True, check=False, timeout=120
        )
        report.update(json.loads(done.stdout))
        return [finding for finding in ours() if finding["state"] == "wrong"] == []

    def ours() -> list[dict[str, Any]]:
        return [finding for finding in report["findings"] if finding["about"].startswith("release")]

    wait_until(nothing_is_wrong, timeout=120, interval=2, hint=lambda: str(ours()))
    names = {finding["name"] for finding in ours()}
    assert {"CRD", "volumes", "TelemetryConsumers", "Kafka", "topic telemetry.raw"} <= names
