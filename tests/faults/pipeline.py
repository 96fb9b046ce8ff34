"""The processes of a run: mosquitto as the hub configures it, Kafka's topics, and ingesters between them."""

from __future__ import annotations

import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from iothub.servers.mosquitto import MEMORY_MIB, build_config
from iothub.servers.mosquitto import find_mosquitto as find_installed
from support.mosquitto import find_mosquitto
from support.ports import free_port
from support.process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MOSQUITTO", "Ingester", "mosquitto_config"]

MOSQUITTO = (2, 1)
"""Before it, what is acknowledged is not on the disk yet."""
_IMAGE_PLUGIN = Path("/usr/lib/mosquitto_persist_sqlite.so")


def mosquitto_config(*, flushes_at_once: bool = True, memory_mib: int = MEMORY_MIB) -> str:
    """Return what the chart gives mosquitto, open to everyone on the loopback, for `support.mosquitto.Mosquitto`.

    Devices on ``{port}``, ingestion on ``{port2}``. Without ``flushes_at_once`` the plugin's own default stays, which
    is to write every five seconds. ``memory_mib`` is where it takes nothing more.
    """
    if find_mosquitto(MOSQUITTO).image is None:
        installed = find_installed()
        plugin = installed.sqlite if installed is not None else None
        assert plugin is not None, "this mosquitto has no mosquitto_persist_sqlite.so beside it"
    else:
        plugin = _IMAGE_PLUGIN
    text = build_config(Path("{data}"), [], sqlite=plugin, as_root=False)
    text = _replace(text, f"memory_limit {MEMORY_MIB * 2**20}\n", f"memory_limit {memory_mib * 2**20}\n")
    if not flushes_at_once:
        text = _replace(text, "plugin_opt_flush_period 0\n", "")
    return text + "listener {port} 127.0.0.1\nlistener {port2} 127.0.0.1\n"


def _replace(text: str, old: str, new: str) -> str:
    assert old in text, f"the hub's configuration has no line {old!r}"
    return text.replace(old, new)


class Ingester:
    """``python -m MODULE``: an ingester that can be stopped, killed and started again.

    ``environment`` is what it needs beside the place of Kafka and the topics.
    """

    def __init__(
        self, folder: Path, name: str, module: str, *, kafka: str, topics: Mapping[str, str], **environment: str
    ) -> None:
        self._health = f"http://127.0.0.1:{(port := free_port())}"
        self.name = name
        self.process = ServerProcess(
            name,
            [sys.executable, "-m", module],
            log=folder / f"{name}.log",
            environment={
                "HTTP_PORT": str(port),
                "LOG_FORMAT": "json",
                "KAFKA_BOOTSTRAP_SERVERS": kafka,
                "INGESTION_TOPIC": topics["raw"],
                "INGESTION_DLQ_TOPIC": topics["dlq"],
                **environment,
            },
        )

    def launch(self) -> None:
        """Start it, and don't wait."""
        self.process.start(lambda: True, timeout=30)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process.start(self.is_ready, timeout=60)

    def stop(self) -> int | None:
        """SIGTERM; return its exit code once it is gone."""
        return self.process.stop(timeout=60)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            with urlopen(f"{self._health}/readyz", timeout=5) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (URLError, OSError):
            return False

    def read_metric(self, name: str) -> float:
        """Return the sum of a metric's values, over all of its labels."""
        with urlopen(f"{self._health}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        values = [line.rpartition(" ")[2] for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        assert values, f"{self.name} has no metric {name}"
        return sum(map(float, values))

    def measure_memory(self) -> float:
        """Return its resident memory, in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20
