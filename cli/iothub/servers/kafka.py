"""Apache Kafka as a program: one KRaft node on the loopback, durable, from the jars of `iothub.servers.jars`.

FOLDER/
  server.properties   written anew at each start: the ports may be others
  kafka.version       the Kafka that wrote the data last
  data/               appears formatted, in one rename
"""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from iothub.errors import StartFailed
from iothub.servers.failures import Cause, explain, read_last_run
from iothub.servers.jars import FILES, find_fetch_problem, kafka_version, prepare_jars
from iothub.servers.java import Java, Missing, find_java
from iothub.servers.ports import LOOPBACK, choose_port, free_port, is_open
from iothub.servers.program import Program
from iothub.servers.server import KafkaServer
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES
from telemetry.names import MAX_MESSAGE_BYTES as MAX_VALUE_BYTES

USUAL_PORT = 9092
HEAP_MIB = 512

MAX_MESSAGE_BYTES = MAX_VALUE_BYTES + 64 * 1024
"""``max.message.bytes`` of raw and clean, and of every topic that names no other: a value, its key and headers."""

_DATA = "data"
_META = "meta.properties"
_VERSION = "kafka.version"
_NODE_ID = 1
_FORMAT_SECONDS = 120

# Quick to start, not quickest under load: it shares a laptop with everything else.
_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto", "-Xms64m")

_CAUSES = (
    Cause(
        re.compile(r"failed to bind to \S+:(\d+): Address already in use"),
        "port {0} is taken by another program; free it, or choose another with --kafka-port",
    ),
    Cause(
        re.compile(r"No space left on device"),
        "the disk that holds Kafka's data is full; make room, or start over with --fresh",
    ),
    Cause(
        re.compile(r"Failed to acquire lock on file \.lock in (\S+?)\.? "),
        "another Kafka still runs on the data in {0}; end it first",
    ),
    Cause(
        re.compile(r"(?:AccessDeniedException: |Error while writing to checkpoint file )(\S+)"),
        "Kafka may not write {0}; give it back to your user, or start over with --fresh",
    ),
    Cause(
        re.compile(
            r"(?:No MetadataVersion with feature level|Unsupported feature level|unsupported metadata\.version)"
        ),
        "the data was written by another version of Apache Kafka; start over with --fresh",
    ),
    Cause(
        re.compile(r"java\.lang\.OutOfMemoryError|Could not reserve enough space|insufficient memory"),
        "this machine has too little free memory for Apache Kafka; close something, or use --kafka mock",
    ),
)
_RUN_BEGINS = re.compile(r"Registered `kafka:type=kafka\.Log4jController` MBean")


def find_problem() -> str | None:
    """Return why Apache Kafka can't run on this machine, as a sentence; or None."""
    java = find_java()
    return java.sentence if isinstance(java, Missing) else find_fetch_problem()


def prepare_kafka(folder: Path, *, port: int | None, log: Path, heap_mib: int = HEAP_MIB) -> KafkaServer:
    """Make ``folder`` a Kafka's, formatting its storage the first time, and return what to run.

    Blocks for as long as Maven fetches the jars. Without ``port`` it is the usual one, or another where that is taken.
    ``log`` gets what formatting prints where it fails. Raises StartFailed.
    """
    java = find_java()
    if isinstance(java, Missing):
        raise StartFailed(f"Apache Kafka can't run here: {java.sentence}; or use --kafka mock")
    jars = prepare_jars()
    check_data_version(folder)
    chosen = choose_port(port or USUAL_PORT, fallback=port is None, option="--kafka-port")
    address = f"{LOOPBACK}:{chosen}"
    properties = build_properties(folder / _DATA, port=chosen, controller_port=free_port())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _DATA / _META).exists():
            format_storage(folder, properties, java, jars, log=log)
        (folder / _VERSION).write_text(kafka_version() + "\n", "utf-8")
        config = write_properties(folder / "server.properties", properties)
    except OSError as error:
        raise StartFailed(f"Kafka's folder {folder} can't be used: {error.strerror or error}") from error
    program = Program(
        name="kafka",
        command=(*build_java_command(java, jars, heap_mib=heap_mib), "kafka.Kafka", str(config)),
        is_ready=lambda: answers(address),
        start_seconds=90,
    )
    return KafkaServer(
        program=program,
        bootstrap_servers=address,
        in_memory=False,
        title=f"Apache Kafka {kafka_version()}",
        explain_failure=explain_failure,
    )


def build_properties(
    data: Path, *, port: int, controller_port: int, more: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Return server.properties of a node that is its own controller, with its data in ``data``."""
    address = f"{LOOPBACK}:{port}"
    properties: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": _NODE_ID,
        "controller.quorum.voters": f"{_NODE_ID}@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{address},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{address}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        "num.partitions": 6,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": DLQ_MAX_MESSAGE_BYTES,
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        # A year: a group that is paused for long keeps its place. Kafka's own default is a week.
        "offsets.retention.minutes": 365 * 24 * 60,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # A lone consumer need not wait for others to join before its first assignment.
        "group.initial.rebalance.delay.ms": 0,
        # Groups of KIP-848 hear of a rebalance with their heartbeat: at Kafka's own 5 s, what moves waits as long.
        "group.consumer.heartbeat.interval.ms": 1000,
        "group.consumer.min.heartbeat.interval.ms": 1000,
        # A killed node may register again once its own controller takes the killed one for dead: after 9 s by default.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        # 128 MiB by default: a quarter of the heap, for the few offsets of a laptop.
        "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
        "log.index.size.max.bytes": 1024 * 1024,
    }
    return {name: str(value) for name, value in (properties | dict(more or {})).items()}


def write_properties(path: Path, properties: Mapping[str, str]) -> Path:
    """Write a Java properties file and return its path."""
    # A backslash begins an escape in these files; no other character of a value is special.
    lines = (f"{name}={value}".replace("\\", "\\\\") for name, value in properties.items())
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def build_java_command(java: Java, jars: Path, *, heap_mib: int) -> tuple[str, ...]:
    """Return the call of a class of Kafka's, up to the class's name."""
    log4j = f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}"
    return (str(java.path), *_JVM, f"-Xmx{heap_mib}m", log4j, "-cp", f"{jars}/*")


def format_storage(folder: Path, properties: Mapping[str, str], java: Java, jars: Path, *, log: Path) -> None:
    """Make ``folder``/data a formatted storage, in one step: a crash leaves nothing half-formatted.

    Raises StartFailed; what the tool said is then appended to ``log``.
    """
    new, data = folder / f"{_DATA}.new", folder / _DATA
    shutil.rmtree(new, ignore_errors=True)
    config = write_properties(folder / "format.properties", {**properties, "log.dirs": str(new)})
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    call: Sequence[str] = (
        *build_java_command(java, jars, heap_mib=96),
        *("kafka.tools.StorageTool", "format", "-c", str(config)),
        f"--cluster-id={cluster_id}",  # in one word: an id that begins with a dash would be read as an option
    )
    done = subprocess.run(  # noqa: S603  # the user's own Java
        call, capture_output=True, text=True, check=False, timeout=_FORMAT_SECONDS
    )
    if done.returncode != 0:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as output:
            output.write(done.stdout + done.stderr)
        why = explain(done.stdout + done.stderr, _CAUSES)
        raise StartFailed(why or f"Kafka's storage in {folder} could not be formatted; what it says is in {log}")
    config.unlink()
    if data.exists():
        data.rmdir()  # an empty one; what holds anything is not ours to replace
    new.rename(data)


def check_data_version(folder: Path) -> None:
    """Raise StartFailed where the data was last written by a newer Kafka than ours."""
    try:
        found = (folder / _VERSION).read_text("utf-8").strip()
    except OSError:
        return
    ours = kafka_version()
    if _as_numbers(found) > _as_numbers(ours):
        raise StartFailed(
            f"the data in {folder / _DATA} is of Apache Kafka {found}, this is {ours}, which may not read it; "
            "start over with --fresh"
        )


def answers(address: str) -> bool:
    """Return whether a Kafka at ``address`` answers with its metadata."""
    host, _, port = address.rpartition(":")
    # The port first: a client that meets a closed one complains and backs off.
    if not is_open(int(port), host):
        return False
    client = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def explain_failure(log: Path) -> str | None:
    """Return why the last run of Kafka, whose output is in ``log``, did not start, or None where it does not tell."""
    return explain(read_last_run(log, _RUN_BEGINS), _CAUSES)


def _as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
