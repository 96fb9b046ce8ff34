"""A real Apache Kafka, one KRaft node, as a process that tests start, stop, kill and restart on the same data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from iothub.servers.jars import kafka_version
from iothub.servers.kafka import (
    MAX_MESSAGE_BYTES,
    build_java_command,
    build_properties,
    format_storage,
    write_properties,
)
from support.kafka_jars import java, kafka_jars
from support.ports import free_port, is_open
from support.process import ServerProcess
from support.waiting import wait_until
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

__all__ = ["KafkaBroker"]


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
        self._java, self._jars = java(), kafka_jars()
        self._properties = build_properties(
            folder / "data", port=self.port, controller_port=free_port(), more=properties
        )
        self._config = folder / "server.properties"
        self._admin: AdminClient | None = None
        self.process = ServerProcess(
            f"kafka-{self.port}",
            [*build_java_command(self._java, self._jars, heap_mib=heap_mib), "kafka.Kafka", str(self._config)],
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
        self.folder.mkdir(parents=True, exist_ok=True)
        write_properties(self._config, self._properties)
        if not (self.folder / "data").exists():
            format_storage(self.folder, self._properties, self._java, self._jars, log=self.process.log)
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
