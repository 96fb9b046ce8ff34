"""One installation of the chart, and the pod in it from which the tests publish and read."""

from __future__ import annotations

import base64
import json
import os
import shlex
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from e2e.kube import ROOT, Kube, KubectlError
from e2e.readings import Sent, to_jsonl
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from e2e.killer import Killer

__all__ = ["Acknowledged", "Publishing", "Release", "toolbox_pod"]

TOOLBOX = "toolbox"
CREDENTIALS = "/work/credentials.json"
CHART = ROOT / "charts" / "iot-hub"
RAW, CLEAN, DLQ = "telemetry.raw", "telemetry.clean", "telemetry.dlq"


@dataclass(frozen=True)
class Acknowledged:
    """What a publisher saw."""

    ids: list[str]
    """Every id that the broker acknowledged with success, in the order of the acknowledgements."""
    refused: dict[str, int]
    """Reason codes of those that it answered otherwise, or had no subscriber for (16)."""
    begun: float
    first: float
    """When the first acknowledgement came (seconds since the epoch)."""
    ended: float
    connections: int


class Publishing:
    """A publisher at work in the toolbox."""

    def __init__(self, kube: Kube, name: str, answer: Future[str]) -> None:
        self._kube = kube
        self._name = name
        self._answer = answer

    def acknowledged_so_far(self) -> int:
        """Return how many acknowledgements have come."""
        if self._answer.done():
            self._answer.result()
        try:
            return int(self._kube.exec(TOOLBOX, "cat", f"/work/{self._name}.jsonl.progress"))
        except KubectlError:
            return 0  # no file yet

    def wait_for(self, count: int, *, timeout: float = 120) -> None:
        """Wait until ``count`` messages are acknowledged."""
        wait_until(
            lambda: self.acknowledged_so_far() >= count, timeout=timeout, interval=0.2, what=f"{count} acknowledgements"
        )

    def result(self) -> Acknowledged:
        """Wait for the publisher's end and return what it saw."""
        lines = [json.loads(line) for line in self._answer.result().splitlines()]
        summary = lines.pop()
        return Acknowledged(
            ids=[line["id"] for line in lines if line["code"] == 0],
            refused={line["id"]: line["code"] for line in lines if line["code"] != 0},
            begun=summary["begun"],
            first=min((line["at"] for line in lines), default=0.0),
            ended=summary["ended"],
            connections=summary["connections"],
        )


@dataclass
class Release:
    """The chart, installed as ``name`` in ``kube``'s namespace."""

    kube: Kube
    name: str
    tag: str
    killer: Killer
    facts: list[str] = field(default_factory=list)
    """Measured on the way, printed at the end of the run."""
    early: Publishing | None = None
    """The publisher that began before the installation."""
    early_messages: list[Sent] = field(default_factory=list)
    installed_at: float = 0.0
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, thread_name_prefix="e2e"))

    @property
    def bootstrap(self) -> str:
        """Kafka's address in the cluster."""
        return f"{self.name}-kafka:9092"

    def install(self) -> None:
        """``helm install`` as a user would, and hand the devices' credentials to the toolbox as soon as they exist."""
        self.installed_at = time.time()
        handed = self._threads.submit(self._hand_over_credentials)
        self.kube.helm("install", self.name, str(CHART), *self._switches(), "--timeout", "5m")
        handed.result(timeout=120)

    def upgrade(self) -> None:
        """``helm upgrade`` to the same chart with the same values."""
        self.kube.helm("upgrade", self.name, str(CHART), *self._switches(), "--timeout", "5m")

    def _switches(self) -> list[str]:
        switches = ["--set", f"global.image.tag={self.tag}", "--set", "kafka-ui.enabled=false"]
        return [*switches, *shlex.split(os.environ.get("E2E_HELM_ARGS", ""))]

    def wait_until_ready(self, *, timeout: float = 240) -> None:
        """Wait until every pod of the release, its topics and the validator are at work."""
        self._have_forgotten_pods_scheduled()
        validator = self.validator()["metadata"]["name"]
        self.kube.wait("condition=Ready", f"telemetryconsumer/{validator}", timeout=int(timeout))
        for kind in ("statefulset", "deployment"):
            for item in self.kube.get_all(kind):
                name = f"{kind}/{item['metadata']['name']}"
                self.kube.run("rollout", "status", name, f"--timeout={timeout:.0f}s", timeout=timeout + 10)

    def _have_forgotten_pods_scheduled(self) -> None:
        """Have pods made anew that no node was found for.

        A scheduler that looked at a pod in the moment in which its volume was made may look again only after five
        minutes, and a test has as many.
        """
        try:
            wait_until(lambda: not self._unscheduled_pods(), timeout=30, interval=1, what="every pod to have a node")
        except TimeoutError:
            for name in self._unscheduled_pods():
                self.kube.run("delete", "pod", name)

    def _unscheduled_pods(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.kube.get_all("pod") if "nodeName" not in pod["spec"]]

    def uninstall(self) -> None:
        """Take everything away again: the release, then its namespace."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        try:
            self.kube.helm("uninstall", self.name, "--ignore-not-found", "--wait", "--timeout", "2m")
        finally:
            self.kube.run(
                "delete", "namespace", self.kube.namespace, "--ignore-not-found", "--timeout=120s", timeout=150
            )

    def validator(self) -> dict[str, Any]:
        """Return the validator's TelemetryConsumer, once the release has made it."""

        def look() -> dict[str, Any] | None:
            consumers = self.kube.get_all("telemetryconsumers")
            found = [item for item in consumers if item["spec"]["handler"].get("name") == "validator"]
            return found[0] if found else None

        found = wait_until(look, timeout=60, interval=0.5, what="the validator's TelemetryConsumer")
        assert found is not None
        return found

    def consumer_pods(self, consumer: str) -> str:
        """Return the selector of a TelemetryConsumer's pods."""
        return f"telemetry.iot-hub.io/consumer={consumer}"

    def pod_of(self, part: str) -> str:
        """Return the name of the one pod of a part: validator, ingestion, mqtt, kafka or operator."""
        if part == "validator":
            (pod,) = self.kube.wait_for_pods(self.consumer_pods(self.validator()["metadata"]["name"]), 1)
            return str(pod["metadata"]["name"])
        prefix = {"ingestion": "ingestion-mqtt", "mqtt": "mqtt", "kafka": "kafka", "operator": "operator"}[part]
        names = [
            pod["metadata"]["name"] for pod in self.kube.get_all("pods", f"app.kubernetes.io/instance={self.name}")
        ]
        (name,) = [name for name in names if name.startswith(f"{self.name}-{prefix}-")]
        return str(name)

    def tool(self, command: str, *arguments: str, timeout: float = 120) -> list[Any]:
        """Run a command of toolbox.py against the release's Kafka and return the JSON lines that it printed."""
        call = ["python", "/work/toolbox.py", command, "--bootstrap", self.bootstrap, *arguments]
        said = self.kube.exec(TOOLBOX, *call, timeout=timeout + 30)
        return [json.loads(line) for line in said.splitlines()]

    def publish(self, name: str, messages: list[Sent], *, rate: float = 0, timeout: float = 180) -> Publishing:
        """Start publishing ``messages`` over MQTT, ``rate`` a second; ``name`` tells this publisher from others."""
        self.kube.write_file(TOOLBOX, f"/work/{name}.jsonl", to_jsonl(messages))
        command = ["python", "/work/toolbox.py", "publish", "--host", f"{self.name}-mqtt", "--credentials", CREDENTIALS]
        options = [
            "--input",
            f"/work/{name}.jsonl",
            "--client-prefix",
            f"{name}-",
            "--rate",
            str(rate),
            "--timeout",
            str(timeout),
        ]
        answer = self._threads.submit(self.kube.exec, TOOLBOX, *command, *options, timeout=timeout + 60)
        return Publishing(self.kube, name, answer)

    def read(
        self, topics: Iterable[str], prefix: str = "", *, until: int = 0, timeout: float = 60
    ) -> list[dict[str, Any]]:
        """Return the records of topics whose id has a prefix, waiting for ``until`` different ids."""
        options = ["--prefix", prefix, "--until", str(until), "--timeout", str(timeout)]
        return self.tool("read", "--topics", *topics, *options, timeout=timeout)

    def settle(self, group: str, topics: Iterable[str] = (RAW,), *, timeout: float = 60) -> None:
        """Wait until a group has committed everything that is in its topics."""
        (behind,) = self.tool("lag", "--group", group, "--topics", *topics, "--timeout", str(timeout), timeout=timeout)
        assert not any(behind.values()), f"group {group} still lags after {timeout} s: {behind}"

    def settle_pipeline(self, count: int, prefix: str, *, timeout: float = 90) -> list[dict[str, Any]]:
        """Wait until ``count`` ids are in the raw topic and the validator is through with all of it.

        Returns the raw records.
        """
        raw = self.read([RAW], prefix, until=count, timeout=timeout)
        self.settle(self.validator()["status"]["groupId"], timeout=timeout)
        return raw

    def _hand_over_credentials(self) -> None:
        def look() -> str | None:
            try:
                return self.kube.run("get", "secret", f"{self.name}-mqtt-auth", "-o", "json", "--ignore-not-found")
            except KubectlError:
                return None

        secret = json.loads(wait_until(look, timeout=110, what="the Secret with the devices' credentials") or "{}")
        plain = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
        self.kube.write_file(TOOLBOX, CREDENTIALS, json.dumps(plain).encode())


def toolbox_pod(image: str) -> dict[str, Any]:
    """Return the pod from which the tests work: the worker image, idle, as restricted as every other pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": TOOLBOX},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "toolbox",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "work", "mountPath": "/work"}],
                }
            ],
            "volumes": [{"name": "work", "emptyDir": {}}],
        },
    }
