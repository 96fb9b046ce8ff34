"""Which Kafka the hub runs: Apache Kafka where this machine can, else the one in memory, said plainly."""

from __future__ import annotations

from functools import partial
from typing import Literal

from iothub.errors import StartFailed
from iothub.hub.events import Event, Report
from iothub.hub.folder import Folder
from iothub.hub.threads import run_on_own_thread
from iothub.servers.kafka import USUAL_PORT, find_problem, prepare_kafka
from iothub.servers.mock_kafka import prepare_mock
from iothub.servers.server import KafkaServer

KafkaChoice = Literal["auto", "apache", "mock"]

_KAFKA, _MOCK = "kafka", "mock-kafka"


async def choose_kafka(folder: Folder, choice: KafkaChoice, port: int | None, report: Report) -> KafkaServer:
    """Return the Kafka to run. Raises StartFailed where the one that was asked for can't be."""
    if choice == "mock":
        return _use_mock(folder, port, report, "as --kafka mock says")
    data = folder.data / _KAFKA
    if choice == "auto":
        problem = await run_on_own_thread(find_problem)
        if problem is not None:
            return _use_mock(folder, port, report, problem)
    report(Event("preparing Apache Kafka (the first time its jars are fetched)", kind="preparing", subject="kafka"))
    try:
        server = await run_on_own_thread(partial(prepare_kafka, data, port=port, log=folder.part_log("kafka-format")))
    except StartFailed as error:
        if choice == "apache" or port is not None or data.exists():
            raise  # what it holds, or what was asked for, is not to be had from another
        return _use_mock(folder, port, report, str(error))
    taken = port is None and server.bootstrap_servers is not None
    if taken and not str(server.bootstrap_servers).endswith(f":{USUAL_PORT}"):
        sentence = f"port {USUAL_PORT} is taken, so Kafka is at {server.bootstrap_servers}"
        report(Event(sentence, kind="port", subject="kafka"))
    return server


def _use_mock(folder: Folder, port: int | None, report: Report, why: str) -> KafkaServer:
    if port is not None:
        raise StartFailed(f"--kafka-port can't be had: the Kafka in memory chooses its own port ({why})")
    report(Event(f"Kafka in memory, in place of Apache Kafka: {why}", kind="limit", subject="kafka"))
    return prepare_mock(folder.data / _MOCK)
