"""A real Apache Kafka, one KRaft node, as a process that tests start, stop, kill and restart on the same data."""

from __future__ import annotations

import logging
import subprocess
import uuid
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from support import require
from support.kafka_jars import POM, kafka_jars, kafka_version
from support.ports import free_port, is_open
from support.process import ServerProcess
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["DLQ_MAX_MESSAGE_BYTES", "MAX_MESSAGE_BYTES", "KafkaBroker"]

MAX_MESSAGE_BYTES = (1024 + 64) * 1024
"""``max.message.bytes`` of telemetry.raw and telemetry.clean, and of every topic that names no other."""

DLQ_MAX_MESSAGE_BYTES = 11 * 1024 * 1024
"""``max.message.bytes`` of telemetry.dlq: what the other two refuse must fit here."""

# Small and quick to start, not quick under load: a test's broker lives for seconds and shares two cores with the tests.
JVM_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto", "-Xms64m")


class KafkaBroker:
    """One broker, which is its own controller. Topics are never created by use; everything has one replica.

    ``folder`` takes the data, the configuration and the log. ``properties`` are added to server.properties. The port
    stays the same over restarts. ``with KafkaBroker(folder) as kafka:`` starts and stops it.
    """

    version = kafka_version()

    def __init__(self, folder: Path, *, heap_mib: int = 320, properties: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._controller_port = free_port()
        self._java = require.java()
        self._classpath = f"{kafka_jars()}/*"
        self._properties = self._build_properties(properties or {})
        self._config = folder / "server.properties"
        self._formatted = False
        self._admin: AdminClient | None = None
        self.process = ServerProcess(
            f"kafka-{self.port}",
            [*self._java_command(f"-Xmx{heap_mib}m"), "kafka.Kafka", str(self._config)],
            log=folder / "kafka.log",
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, timeout: float = 90.0) -> None:
        """Start it (formatting its storage the first time) and wait until it serves clients."""
        if not self._formatted:
            self._format()
        self.process.start(self._answers, timeout=timeout)

    def stop(self, *, timeout: float = 30.0) -> None:
        """Shut it down in order (SIGTERM)."""
        self.process.stop(timeout=timeout)

    def kill(self) -> None:
        """SIGKILL it; ``start`` brings it back with the data that was on disk."""
        self.process.kill()

    def restart(self, *, timeout: float = 90.0) -> None:
        """Stop it in order and start it on the same data and port."""
        self.stop()
        self.start(timeout=timeout)

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Let it go on after ``pause``."""
        self.process.resume()

    @property
    def admin(self) -> AdminClient:
        """An admin client, made at first use and kept; its log goes to logging, not to the terminal."""
        if self._admin is None:
            self._admin = AdminClient(
                {"bootstrap.servers": self.bootstrap_servers, "socket.timeout.ms": 10_000},
                logger=logging.getLogger("support.kafka"),
            )
        return self._admin

    def create_topics(
        self, names: Iterable[str], *, partitions: int = 6, config: Mapping[str, str] | None = None
    ) -> list[str]:
        """Create the topics and return their names once each is there with a leader for every partition.

        A name that ends in ``dlq`` gets the dead-letter topic's message size, any other the raw topic's.
        """
        wanted = list(names)
        new = [
            NewTopic(
                name,
                num_partitions=partitions,
                replication_factor=1,
                config={
                    "max.message.bytes": str(DLQ_MAX_MESSAGE_BYTES if name.endswith("dlq") else MAX_MESSAGE_BYTES),
                    **(config or {}),
                },
            )
            for name in wanted
        ]
        for future in self.admin.create_topics(new, operation_timeout=20.0, request_timeout=30.0).values():
            future.result()
        wait_until(lambda: self._have_leaders(wanted, partitions), what=f"leaders of {', '.join(wanted)}")
        return wanted

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete the topics."""
        for future in self.admin.delete_topics(list(names), operation_timeout=20.0, request_timeout=30.0).values():
            future.result()

    def _have_leaders(self, names: list[str], partitions: int) -> bool:
        known = self.admin.list_topics(timeout=10.0).topics
        return all(
            name in known
            and len(known[name].partitions) == partitions
            and all(partition.leader >= 0 for partition in known[name].partitions.values())
            for name in names
        )

    def _answers(self) -> bool:
        # The port first: an admin client that meets a closed one complains and backs off.
        if not is_open(self.port):
            return False
        try:
            return len(self.admin.list_topics(timeout=2.0).brokers) == 1
        except KafkaException:
            return False

    def _java_command(self, *options: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={POM.parent / 'log4j2.properties'}"
        return [str(self._java), *JVM_OPTIONS, *options, log4j, "-cp", self._classpath]

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key}={value}" for key, value in self._properties.items()]
        self._config.write_text("\n".join(lines) + "\n", "utf-8")
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # An id that begins with a dash would be read as an option.
        tool = [
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            "-c",
            str(self._config),
            f"--cluster-id={cluster_id}",
        ]
        done = subprocess.run(
            [*self._java_command("-Xmx96m"), *tool], capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")
        self._formatted = True

    def _build_properties(self, more: Mapping[str, str]) -> dict[str, Any]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "num.partitions": 6,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "replica.fetch.max.bytes": DLQ_MAX_MESSAGE_BYTES,
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            # A lone consumer need not wait for others to join before its first assignment.
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            # 128 MiB by default: more than half of the heap, for topics that a test compacts never.
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
            **more,
        }
