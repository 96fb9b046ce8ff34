"""The operator and its peer as processes, each for one namespace: how they are started."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.child import ROOT, BenchmarkFailed, Child
from benchmarks.go import CACHE, run_go
from benchmarks.operator_cluster import until
from benchmarks.probes import is_ready
from iothub.servers.ports import free_port
from telemetry_operator.controller import WORKERS

OURS, PEER = "ours", "controller-runtime"
IMAGE = "iot-hub/worker:there-is-none"
"""Of the workers, none of which is ever started."""
_SOURCES = ROOT / "benchmarks" / "operator-go"
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Contender:
    """An operator that is to run."""

    name: str
    command: tuple[str, ...]
    port: int
    """Where it says whether it is ready."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def started(self, bench: Bench) -> AsyncIterator[Child]:
        """Start it and wait until it is ready; leaving the block ends it."""
        with Child(self.name, self.command, environment=self.environment, log=bench.log(self.name)) as child:

            async def ready() -> bool:
                child.check()
                return await asyncio.to_thread(is_ready, self.port)

            await until(ready, seconds=_READY_SECONDS, what=f"{self.name} to be ready")
            yield child


Build = Callable[[str], Contender]
"""From a namespace to the operator that serves it."""


def build_ours(bench: Bench, namespace: str, kubeconfig: Path | None = None) -> Contender:
    """Return ``python -m telemetry_operator`` with the settings that it has where nobody changes them.

    ``kubeconfig`` is another one than that of the environment.
    """
    port = free_port()
    environment = {
        "KUBECONFIG": str(kubeconfig or os.environ["KUBECONFIG"]),
        "OPERATOR_NAMESPACES": namespace,
        "OPERATOR_WORKER_IMAGE": IMAGE,
        "KAFKA_BOOTSTRAP_SERVERS": bench.kafka.bootstrap_servers,
        "HTTP_PORT": str(port),
        "LOG_FORMAT": "json",
    }
    return Contender(OURS, (sys.executable, "-m", "telemetry_operator"), port, environment)


def build_peer(bench: Bench, namespace: str) -> Contender:
    """Return the peer. Raises BenchmarkFailed where it can't be built."""
    port = free_port()
    arguments = {
        "namespace": namespace,
        "image": IMAGE,
        "kafka": bench.kafka.bootstrap_servers,
        "probes": f"127.0.0.1:{port}",
        "workers": str(WORKERS),
    }
    command = (str(build_peer_program()), *(f"-{name}={value}" for name, value in arguments.items()))
    return Contender(PEER, command, port, {"KUBECONFIG": os.environ["KUBECONFIG"]})


def make_spec(bench: Bench) -> dict[str, Any]:
    """Return the spec of every TelemetryConsumer here: no worker, so that no pod runs.

    Makes its topics, and brings the cluster's CRD up to date. Raises BenchmarkFailed where there is no cluster.
    """
    done = subprocess.run(
        [sys.executable, "-m", "telemetry_operator", "--apply-crds", str(ROOT / "crds")],
        capture_output=True,
        text=True,
        check=False,
        timeout=_READY_SECONDS,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"the CRD can't be applied: {done.stderr}")
    topic, letters = bench.new_name("raw"), bench.new_name("dlq")
    bench.kafka.make_topics(topic, letters)
    return {"topics": [topic], "handler": {"name": "logger"}, "replicas": 0, "deadLetter": {"topic": letters}}


def build_both(bench: Bench) -> dict[str, Build]:
    """Return ours and the peer, and note the peer's version."""
    build_peer_program()
    bench.peer_versions["controller-runtime"] = find_peer_version()
    return {OURS: partial(build_ours, bench), PEER: partial(build_peer, bench)}


def build_peer_program() -> Path:
    """Return the peer's program, built where its sources are newer. Raises BenchmarkFailed."""
    program = CACHE / "operator-go"
    newest = max(source.stat().st_mtime for source in _SOURCES.iterdir())
    if program.is_file() and program.stat().st_mtime >= newest:
        return program
    run_go(["build", "-o", str(program), "."], "the peer", folder=_SOURCES)
    program.touch()
    return program


def find_peer_version() -> str:
    """Return the version of controller-runtime that the peer is built on."""
    words = (_SOURCES / "go.mod").read_text("utf-8").split()
    return words[words.index("sigs.k8s.io/controller-runtime") + 1].removeprefix("v")
