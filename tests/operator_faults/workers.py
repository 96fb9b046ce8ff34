"""Workers that are at work while the operator is struck: nothing that happens to it may restart them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contract.kubectl import Kubectl
from contract.samples import manifest
from e2e.kube import Kube
from operator_faults.children import Worker, count_replica_sets, read_workers

__all__ = ["HealthyWorkers"]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "iot-hub" / "charts" / "kafka"
RELEASE = "faults"
NAME = "healthy"
REPLICAS = 2


@dataclass(frozen=True)
class HealthyWorkers:
    """The TelemetryConsumer ``healthy`` and the Kafka that its workers read."""

    kubectl: Kubectl
    environment: dict[str, str]
    """What an operator needs to want these workers as they are."""

    @classmethod
    def set_up(cls, kubectl: Kubectl, tag: str) -> HealthyWorkers:
        """Install the chart's Kafka with one topic, and write the TelemetryConsumer: an operator is still missing."""
        kube = Kube(kubectl.namespace)
        small = {"heap": "256m", "resources.requests.memory": "384Mi", "persistence.size": "1Gi"}
        switches = [word for name, value in small.items() for word in ("--set", f"{name}={value}")]
        kube.helm("install", RELEASE, str(CHART), *switches)
        kubectl.apply(manifest(NAME, {"replicas": REPLICAS, "deadLetter": {"enabled": False}}))
        kube.run("rollout", "status", f"statefulset/{RELEASE}-kafka", "--timeout=180s", timeout=200)
        tool = ("/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", "localhost:9092")
        kube.exec(f"{RELEASE}-kafka-0", *tool, "--create", "--topic", "telemetry.raw", "--partitions", "3")
        environment = {
            "OPERATOR_WORKER_IMAGE": f"iot-hub/worker:{tag}",
            "OPERATOR_WORKER_IMAGE_PULL_POLICY": "IfNotPresent",
            "KAFKA_BOOTSTRAP_SERVERS": f"{RELEASE}-kafka.{kubectl.namespace}.svc:9092",
        }
        return cls(kubectl, environment)

    def wait_until_ready(self) -> None:
        """Wait until both are at work."""
        self.kubectl.run("wait", "--for=condition=Ready", f"telemetryconsumer/{NAME}", "--timeout=55s")

    def look(self) -> tuple[dict[str, Worker], int]:
        """Return the pods, and how many templates there have been."""
        return read_workers(self.kubectl, NAME), count_replica_sets(self.kubectl)[NAME]
