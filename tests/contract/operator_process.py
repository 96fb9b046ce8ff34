"""The operator as a process of the tests, and what they ask it."""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from contract.kubectl import Kubectl
from support.ports import free_port
from support.process import ServerProcess
from support.waiting import wait_until


class Operator:
    """The operator's process; it can be stopped, killed and started again."""

    def __init__(self, kubectl: Kubectl, kubeconfig: Path, log: Path, **environment: str) -> None:
        """``environment`` is laid over what the contract tests give it."""
        self._port = free_port()
        self.process = ServerProcess(
            "operator",
            [sys.executable, "-W", "error::DeprecationWarning:telemetry_operator", "-m", "telemetry_operator"],
            log=log,
            environment={
                "KUBECONFIG": str(kubeconfig),
                "OPERATOR_NAMESPACES": kubectl.namespace,
                "OPERATOR_WORKER_IMAGE": "iot-hub/worker:there-is-none",
                "OPERATOR_WORKER_IMAGE_PULL_POLICY": "Never",
                "OPERATOR_RESYNC_SECONDS": "2",
                "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
                "HTTP_PORT": str(self._port),
                "LOG_FORMAT": "json",
                **environment,
            },
        )

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.process.start(lambda: self.ask("/readyz") == 200, timeout=30)

    def ask(self, path: str) -> int:
        """Return the answer's status, 0 where there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def count_calls(self) -> float:
        """Return how many calls to the API server it has made, its watches left out."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return sum(map(float, re.findall(r"^iothub_operator_api_calls_total\{.*\} (\S+)$", text, re.MULTILINE)))

    def read_memory(self) -> float:
        """Return its resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        return [json.loads(line) for line in self.process.log.read_text().splitlines() if line.startswith("{")]


def find_condition(kubectl: Kubectl, name: str, kind: str = "Ready") -> dict[str, Any]:
    """Return a condition of a TelemetryConsumer, empty where it has none yet."""
    found = kubectl.get("telemetryconsumer", name) or {}
    conditions = found.get("status", {}).get("conditions", ())
    return next((condition for condition in conditions if condition["type"] == kind), {})


def wait_for_reason(kubectl: Kubectl, name: str, reason: str, timeout: float = 20) -> dict[str, Any]:
    """Wait until the condition Ready has ``reason``, and return it."""

    def find() -> list[dict[str, Any]]:
        condition = find_condition(kubectl, name)
        return [condition] if condition.get("reason") == reason else []

    hint = lambda: str(find_condition(kubectl, name))  # noqa: E731  # read only where the wait fails
    return wait_until(find, timeout=timeout, what=f"{name} to be {reason}", hint=hint)[0]
