"""A namespace, the operator that serves it through a proxy, what is written there, and what must hold after a fault."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from contract.cluster import find_api_server, write_kubeconfig
from contract.kubectl import Kubectl
from contract.operator_process import Operator
from contract.rights import ACCOUNT
from contract.samples import manifest
from operator_faults.children import Children
from support.proxy import Proxy
from support.waiting import wait_until

__all__ = ["CONVERGED", "CONVERGED_SECONDS", "MakeStage", "Stage", "drop_namespace", "number"]

CONVERGED_SECONDS = 30.0
"""How long after a fault's end everything must be as it is written."""
FIRST_ATTEMPTS = 5
"""``maxAttempts`` as everything here is first written: what edits change, and what a Deployment shows."""

CONVERGED: list[tuple[str, float]] = []
"""The test, and how many seconds it took until everything was as it was written."""


@dataclass
class Stage:
    """Where a fault is played. ``wanted`` has what was written: by name, its ``maxAttempts``."""

    title: str
    kubectl: Kubectl
    proxy: Proxy
    operator: Operator
    wanted: dict[str, int] = field(default_factory=dict)

    @classmethod
    def set_up(
        cls,
        title: str,
        kubectl: Kubectl,
        folder: Path,
        proxy: Proxy,
        *,
        namespaces: Iterable[str] = (),
        **environment: str,
    ) -> Stage:
        """Return a stage whose operator is not started yet. It serves ``namespaces``, too."""
        proxy.host, proxy.upstream = find_api_server(kubectl)
        kubeconfig = write_kubeconfig(kubectl, ACCOUNT, folder / "kubeconfig", through_port=proxy.port)
        settings = {"OPERATOR_NAMESPACES": ",".join([kubectl.namespace, *namespaces]), "OPERATOR_RESYNC_SECONDS": "30"}
        operator = Operator(kubectl, kubeconfig, folder / "operator.log", **settings, **environment)
        return cls(title, kubectl, proxy, operator)

    def write(self, names: Iterable[str], attempts: int = FIRST_ATTEMPTS, **more: Any) -> None:
        """Apply TelemetryConsumers without replicas, all at once; ``more`` are fields of their specs."""
        specs = dict.fromkeys(names, attempts)
        items = [manifest(name, build_spec(attempts, **more)) for name in specs]
        # The least that a user types does it too, but takes two calls for each.
        self.kubectl.apply({"apiVersion": "v1", "kind": "List", "items": items}, "--server-side")
        self.wanted |= specs

    def delete(self, names: Iterable[str]) -> None:
        """Delete TelemetryConsumers; kubectl waits until they are gone."""
        gone = list(names)
        self.kubectl.run("delete", "telemetryconsumers", *gone, "--timeout=30s")
        for name in gone:
            del self.wanted[name]

    def delete_deployments(self, names: Iterable[str]) -> None:
        """Delete children behind the operator's back."""
        self.kubectl.run("delete", "deployments", *names, "--wait=false")

    def look(self) -> Children:
        """Return what is there now."""
        return Children.read(self.kubectl)

    def find_problems(self) -> list[str]:
        """Return what is not as it is written, a sentence each."""
        return self.look().find_problems(self.wanted)

    def is_alive(self) -> bool:
        """Check that the operator runs, and would be left running."""
        assert self.operator.process.is_running, self.operator.process.log_tail()
        assert self.operator.ask("/healthz") == 200, self.operator.process.log_tail()
        return True

    def endure(self, seconds: float) -> None:
        """Let a fault last, and see the operator alive in it all the time."""
        until = time.monotonic() + seconds
        wait_until(
            lambda: self.is_alive() and time.monotonic() >= until,
            timeout=seconds + 15,
            interval=0.5,
            what="the fault's end",
        )

    def converge(self, within: float = CONVERGED_SECONDS, *, settle: bool = True) -> float:
        """Wait until everything is as it is written, and the operator ready. Returns the seconds that it took.

        Where the cluster's own controllers are behind, they are waited for afterwards, unless ``settle`` is false: that
        time is not the operator's.
        """
        began = time.monotonic()
        wait_until(
            lambda: self.is_alive() and not self.find_problems(),
            timeout=within,
            interval=0.3,
            what="everything to be as it is written",
            hint=self._tell,
        )
        left = max(1.0, within - (time.monotonic() - began))
        wait_until(lambda: self.operator.ask("/readyz") == 200, timeout=left, what="the operator to be ready")
        took = time.monotonic() - began
        CONVERGED.append((self.title, took))
        if settle:
            wait_until(self._is_settled, timeout=120, interval=0.5, what="the cluster's controllers", hint=self._tell)
        return took

    def _is_settled(self) -> bool:
        now = self.look()
        return not now.find_waiting() and not now.find_problems(self.wanted)

    def _tell(self) -> str:
        return "\n".join([*self.find_problems(), self.operator.process.log_tail()])

    def complaints(self) -> Iterator[Mapping[str, Any]]:
        """Yield the log's warnings and worse."""
        yield from (entry for entry in self.operator.log() if entry["level"] not in {"info", "debug"})

    def end(self) -> None:
        """Stop the operator in order, and look for what it did not expect."""
        assert self.operator.process.stop(timeout=20) == 0, self.operator.process.log_tail()
        unexpected = [entry for entry in self.complaints() if "exception" in entry]
        assert not unexpected, unexpected


class MakeStage(Protocol):
    """Makes a stage in a namespace of its own, whose operator is not started yet and serves further ones."""

    def __call__(self, *namespaces: str, **environment: str) -> Stage: ...


def build_spec(attempts: int, **more: Any) -> dict[str, Any]:
    """Return a spec that needs nothing but Kafka, which may be away."""
    return {"replicas": 0, "maxAttempts": attempts, "deadLetter": {"enabled": False}, **more}


def number(prefix: str, count: int) -> list[str]:
    """Return ``count`` names."""
    return [f"{prefix}-{position}" for position in range(count)]


def drop_namespace(kubectl: Kubectl) -> None:
    """Have a namespace deleted with all that is in it."""
    kubectl.run("delete", "namespace", kubectl.namespace, "--ignore-not-found", "--wait=false")
