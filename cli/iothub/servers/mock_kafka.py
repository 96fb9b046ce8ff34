"""librdkafka's mock cluster as a process of its own: a Kafka in memory for a machine without Java.

``python -m iothub.servers.mock_kafka FOLDER`` writes the cluster's address to FOLDER/bootstrap once it serves, and ends
with SIGTERM or with the process that started it.

The cluster is asked for through librdkafka's own C interface (rdkafka_mock.h), which confluent-kafka brings along and
does not wrap: only there can topics be made with a number of partitions, and a new group begin without 3 s of waiting.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from collections.abc import Iterable
from pathlib import Path

from confluent_kafka import cimpl

from iothub.errors import StartFailed, Unavailable
from iothub.servers.kafka import answers
from iothub.servers.lifetime import wait_for_the_end
from iothub.servers.program import Program
from iothub.servers.server import KafkaServer
from iothub.servers.topics import PARTITIONS, build_hub_topics

BOOTSTRAP_FILE = "bootstrap"

MAX_MEBIBYTES = 5
"""What a partition keeps, counted as it was sent, compressed or not (rdkafka_mock.c); it can't be set."""
OTHER_PARTITIONS = 4
"""What a topic has that is made by its first use."""

LIMITS = (
    "Kafka is in memory: what is in it ends with this run.",
    f"Each partition keeps its newest {MAX_MEBIBYTES} MiB and drops what is older, read or not.",
    f"The hub's own topics have {PARTITIONS} partitions; any other is made by its first use, with {OTHER_PARTITIONS}.",
    "This Kafka can't list or describe groups, make topics, or tell retention: commands that need that say so.",
)
"""What librdkafka's mock cluster does not do, for the screen."""

_PRODUCER = 0  # rd_kafka_type_t
_REBALANCE_DELAY_MS = 0


def prepare_mock(folder: Path) -> KafkaServer:
    """Return what to run; its address is known once it is ready (`read_bootstrap`)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / BOOTSTRAP_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StartFailed(f"Kafka's folder {folder} can't be used: {error.strerror or error}") from error
    program = Program(
        name="kafka",
        command=(sys.executable, "-m", "iothub.servers.mock_kafka", str(folder)),
        is_ready=lambda: _is_ready(folder),
        start_seconds=30,
        stop_seconds=5,
    )
    return KafkaServer(
        program=program,
        bootstrap_servers=None,
        in_memory=True,
        title="librdkafka's mock cluster (in memory)",
        explain_failure=lambda log: None,
        limits=LIMITS,
    )


def read_bootstrap(folder: Path) -> str:
    """Return the address of the cluster that runs in ``folder``. Raises Unavailable where it has none yet."""
    try:
        return (folder / BOOTSTRAP_FILE).read_text("utf-8").strip()
    except OSError as error:
        raise Unavailable(f"the Kafka in memory has not written its address to {folder} yet") from error


def _is_ready(folder: Path) -> bool:
    try:
        return answers(read_bootstrap(folder))
    except Unavailable:
        return False


class MockCluster:
    """One broker in this process, for as long as the process lives."""

    def __init__(self) -> None:
        # The extension module is linked to librdkafka: what the library exports is found through it.
        self._library = library = ctypes.CDLL(cimpl.__file__)
        library.rd_kafka_conf_new.restype = ctypes.c_void_p
        library.rd_kafka_new.restype = ctypes.c_void_p
        library.rd_kafka_new.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        library.rd_kafka_conf_set.argtypes = (ctypes.c_void_p, *[ctypes.c_char_p] * 3, ctypes.c_size_t)
        library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_new.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        library.rd_kafka_mock_cluster_bootstraps.argtypes = (ctypes.c_void_p,)
        library.rd_kafka_mock_topic_create.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)
        library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = (ctypes.c_void_p, ctypes.c_int32)
        problem = ctypes.create_string_buffer(512)
        settings = library.rd_kafka_conf_new()
        # Else it warns that it has no brokers to ask: it needs none.
        library.rd_kafka_conf_set(settings, b"log_level", b"0", problem, len(problem))
        client = library.rd_kafka_new(_PRODUCER, settings, problem, len(problem))
        self._cluster = library.rd_kafka_mock_cluster_new(client, 1) if client else None
        if self._cluster is None:
            raise StartFailed(f"librdkafka can't make its mock cluster: {problem.value.decode()}")
        # A lone consumer need not wait for others to join before its first assignment.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _REBALANCE_DELAY_MS)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients find it."""
        address: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return address.decode()

    def make_topics(self, topics: Iterable[tuple[str, int]]) -> None:
        """Make topics, by name and number of partitions. Raises StartFailed."""
        for name, partitions in topics:
            code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
            if code != 0:
                raise StartFailed(f"librdkafka's mock cluster does not make the topic {name} (error {code})")


def main() -> None:
    """Serve until SIGTERM, SIGINT, or the end of the process that started this one."""
    parser = argparse.ArgumentParser(prog="python -m iothub.servers.mock_kafka", description="A Kafka in memory.")
    parser.add_argument("folder", type=Path, help=f"gets the file {BOOTSTRAP_FILE!r} with the address")
    folder: Path = parser.parse_args().folder
    cluster = MockCluster()
    cluster.make_topics((topic.name, topic.partitions) for topic in build_hub_topics())
    new = folder / f"{BOOTSTRAP_FILE}.new"
    new.write_text(cluster.bootstrap_servers + "\n", "utf-8")
    new.replace(folder / BOOTSTRAP_FILE)
    wait_for_the_end()


if __name__ == "__main__":
    main()
