"""A stand-in for kubectl: answers from files, and forwards ports by listening on them itself.

What a cluster says where something is wrong can't be had from a real one at will; what is right is tried on one
(tests/e2e).
"""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import json, os, pathlib, signal, socket, sys, time
here, words = pathlib.Path({folder!r}), sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(" ".join(words) + "\\n")
if words[:2] == ["config", "view"]:
    print((here / "config.json").read_text())
    sys.exit()
words = words[4:]  # --context C --namespace N
if words[0] == "port-forward":
    if (here / "fails").exists():
        sys.exit((here / "fails").read_text())
    local = int(words[-1].split(":")[0])
    with socket.create_server(("127.0.0.1", local)):
        print(f"Forwarding from 127.0.0.1:{{local}} -> x", flush=True)
        signal.pause()
failure = here / ("everywhere.error" if "--all-namespaces" in words else f"{{words[1]}}.error")
if failure.exists():
    sys.exit(failure.read_text())
answers = json.loads((here / "objects.json").read_text())
if words[1] in answers["found"]:
    found = answers["found"][words[1]]
    print("" if found is None else json.dumps(found))
    sys.exit()
selector = words[words.index("--selector") + 1] if "--selector" in words else ""
pairs = [pair.split("=") for pair in selector.split(",") if "=" in pair and "!=" not in pair]
items = [
    item for item in answers["listed"].get(words[1], [])
    if all(item["metadata"].get("labels", {{}}).get(name) == value for name, value in pairs)
    and ("--all-namespaces" in words or item["metadata"]["namespace"] == sys.argv[4])
]
print(json.dumps({{"items": items}}))
"""


@dataclass
class KubectlStandIn:
    """The program in a folder of its own, to be put on the PATH.

    ``listed`` are the objects of a kind, ``found`` the one of a kind that it has, or None.
    """

    folder: Path
    listed: dict[str, list[Any]] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        program = self.folder / "kubectl"
        program.write_text(PROGRAM.format(python=sys.executable, folder=str(self.folder)))
        program.chmod(0o755)
        contexts = [{"name": "plant", "context": {"namespace": "hub"}}, {"name": "home", "context": {}}]
        (self.folder / "config.json").write_text(json.dumps({"contexts": contexts}))
        self.write()

    def write(self) -> None:
        """Let it answer what is listed and found now."""
        (self.folder / "objects.json").write_text(json.dumps({"listed": self.listed, "found": self.found}))

    def fail(self, what: str, said: str) -> None:
        """Let it fail to read a kind, or ``everywhere``: anything in all namespaces."""
        (self.folder / f"{what}.error").write_text(said)

    def fail_forwards(self, said: str) -> None:
        """Let port-forwards fail."""
        (self.folder / "fails").write_text(said)

    def calls(self) -> list[str]:
        """Return what it was asked."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def path(self) -> str:
        """A PATH that begins with it."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"


def make_pod(
    name: str, part: str, *, release: str = "iot-hub", ready: bool = True, namespace: str = "hub", **changes: Any
) -> dict[str, Any]:
    """Return a pod of a release; ``env`` and ``init_env`` are variables of its containers, ``status`` adds to it."""
    index = name.rsplit("-", 1)[-1]
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/part-of": "iot-hub",
                "app.kubernetes.io/instance": release,
                "app.kubernetes.io/name": part,
                "apps.kubernetes.io/pod-index": index,
            },
        },
        "spec": {
            "containers": [{"name": part, "env": changes.get("env", [])}],
            "initContainers": [{"name": "accounts", "env": changes.get("init_env", [])}],
        },
        "status": {
            "phase": changes.get("phase", "Running"),
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": 0}],
            **changes.get("status", {}),
        },
    }


def make_kafka_pod(port: int, node: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a pod of Kafka whose node 0 says that it is at ``port``."""
    env = [{"name": "FORWARDED_PORT", "value": str(port)}]
    return make_pod(f"iot-hub-kafka-{node}", "kafka", env=env, **changes)


def make_mqtt_pod(**changes: Any) -> dict[str, Any]:
    """Return mosquitto's pod, which knows the devices' account from the Secret ``account``."""
    reference = {"secretKeyRef": {"name": "account", "key": "username"}}
    init_env = [{"name": "DEVICES_USERNAME", "valueFrom": reference}]
    return make_pod("iot-hub-mqtt-0", "mqtt", init_env=init_env, **changes)


def make_http_pod(name: str, **changes: Any) -> dict[str, Any]:
    """Return a pod of HTTP ingestion."""
    pod = make_pod(name, "ingestion", **changes)
    pod["metadata"]["labels"]["app.kubernetes.io/component"] = "http"
    return pod


def make_secret(**data: str) -> dict[str, Any]:
    """Return a Secret."""
    return {"data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}}
