"""compose.yaml on a real Docker engine: what is published arrives, and groups share or copy as their ids say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from consumers.start_offsets import NO_COORDINATOR
from support import require
from support.ports import free_port
from support.waiting import wait_until
from telemetry.names import TOPIC_CLEAN, TOPIC_DLQ

ROOT = Path(__file__).parents[2]
IMAGES = {
    "apache/kafka:4.3.1": "docker pull it",
    "eclipse-mosquitto:2.1.2-alpine": "docker pull it",
    "iot-hub/worker:dev": "make images",
}
GOOD, DAMAGED = 300, 10

# With nothing of compose.yaml's anchor: this much is enough for a consumer.
CONSUMER = """
  {name}:
    image: iot-hub/worker:dev
    command: ["python", "-m", "consumers.telemetry_raw_logger"]
    environment:
      KAFKA_BOOTSTRAP_SERVERS: kafka:9092
      KAFKA_GROUP_ID: {group}
    depends_on:
      kafka: {{condition: service_healthy}}
"""
GROUPS = {"shared-1": "shared", "shared-2": "shared", "alone": "alone"}

pytestmark = [pytest.mark.timeout(240)]


@dataclass(frozen=True)
class Compose:
    """A project of compose.yaml with three consumers more, under a name and at ports of its own."""

    words: tuple[str, ...]
    project: str
    kafka_port: int
    mqtt_port: int
    file: Path

    def run(self, *arguments: str, timeout: float = 90) -> str:
        """Run compose and return what it printed."""
        files = ["-f", str(ROOT / "compose.yaml"), "-f", str(self.file)]
        done = subprocess.run(
            [*self.words, *files, *arguments],
            env={
                **os.environ,
                "COMPOSE_PROJECT_NAME": self.project,
                "COMPOSE_PROFILES": "",
                "IOTHUB_KAFKA_PORT": str(self.kafka_port),
                "IOTHUB_MQTT_PORT": str(self.mqtt_port),
                "IOTHUB_HTTP_PORT": str(free_port()),
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0, f"compose {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def logs(self, service: str) -> str:
        """Return a service's log."""
        return self.run("logs", "--no-color", "--no-log-prefix", service)

    def ids(self, service: str) -> list[str]:
        """Return the ids of all messages that a raw logger has seen, in order."""
        lines = [json.loads(line) for line in self.logs(service).splitlines() if line.startswith("{")]
        return [identity for line in lines if line["event"] == "readings" for identity in line["ids"]]

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address on this machine."""
        return f"127.0.0.1:{self.kafka_port}"

    def left(self) -> list[str]:
        """Return what the engine has of this project."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds = (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q"))
        return [f"{kind[0]} {line}" for kind in kinds for line in docker(*kind, "--filter", label).split()]


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout if done.returncode == 0 else ""


def find_compose() -> tuple[str, ...]:
    """Return the words that call compose, the plugin's or docker-compose's own, or skip."""
    require.command("docker", "install a Docker engine (Debian: apt-get install docker.io)")
    if not docker("info", "--format", "{{.ServerVersion}}", check=False).strip():
        require.missing("a Docker engine that answers", "start one")
    for image, remedy in IMAGES.items():
        if not docker("image", "inspect", image, check=False):
            require.missing(f"the image {image}", remedy)
    if docker("compose", "version", check=False):
        return ("docker", "compose")
    if not shutil.which("docker-compose"):
        require.missing(
            "Docker Compose", "install the plugin, or docker-compose (Debian: apt-get install docker-compose)"
        )
    return ("docker-compose",)


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The project, with the broker alone at first."""
    file = tmp_path_factory.mktemp("compose") / "consumers.yaml"
    file.write_text("services:" + "".join(CONSUMER.format(name=name, group=group) for name, group in GROUPS.items()))
    project = Compose(find_compose(), f"iothub-test-{uuid.uuid4().hex[:6]}", free_port(), free_port(), file)
    try:
        project.run("up", "-d", "mosquitto")
        yield project
    finally:
        project.run("down", "-v", "--timeout", "10")


def connect(compose: Compose) -> Client | None:
    """Return a device's connection, its loop running on a thread; None where it is not let in."""
    client = Client(CallbackAPIVersion.VERSION2, "", protocol=MQTTv5, reconnect_on_failure=False)
    let_in: list[bool] = []
    client.on_connect = lambda client, userdata, flags, code, properties: let_in.append(not code.is_failure)
    client.on_disconnect = lambda client, userdata, flags, code, properties: let_in.append(False)
    try:
        client.connect("127.0.0.1", compose.mqtt_port)
    except OSError:
        return None
    client.loop_start()
    wait_until(lambda: let_in, what="the broker's answer")
    if let_in[0]:
        return client
    client.loop_stop()
    return None


def publish(compose: Compose) -> set[str]:
    """Publish readings, some of them damaged, at QoS 1; return the ids once all are acknowledged."""
    client = wait_until(lambda: connect(compose), timeout=60, what="the broker to let devices in")
    assert client is not None
    acknowledged: set[int] = set()
    client.on_publish = lambda client, userdata, mid, code, properties: acknowledged.add(mid)
    ids = set()
    for number in range(GOOD + DAMAGED):
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = [("id", f"m{number}")]
        device = f"DEV-{number % 40:02d}"
        reading = {"schema_version": 1, "device": device, "metrics": {"t": number}, "ts": "2026-02-20 22:45"}
        payload = json.dumps(reading) if number < GOOD else "{"
        client.publish(f"telemetry/{device}", payload, qos=1, properties=properties)
        ids.add(f"m{number}")
    wait_until(lambda: len(acknowledged) == len(ids), what="every acknowledgement")
    client.disconnect()
    client.loop_stop()
    return ids


def read_ids(compose: Compose, topic: str) -> set[str]:
    """Return the ids of what a topic holds, read from this machine."""
    client = Consumer({"bootstrap.servers": compose.bootstrap_servers, "group.id": "test", "enable.auto.commit": False})
    try:
        places = [TopicPartition(topic, number, 0) for number in range(6)]
        left = sum(client.get_watermark_offsets(place, timeout=10)[1] for place in places)
        client.assign(places)
        found: list[Any] = []

        def all_there() -> bool:
            found.extend(client.consume(1000, 0.2))
            return len(found) >= left

        wait_until(all_there, what=f"all of {topic}")
        return {dict(message.headers())["id"].decode() for message in found}
    finally:
        client.close()


def count_members(admin: AdminClient, group: str) -> int:
    """Return how many members of a group have partitions."""
    try:
        described = admin.describe_consumer_groups([group], request_timeout=10)[group].result()
    except KafkaException as error:
        # A broker that has just begun is nobody's coordinator for a moment.
        if error.args[0].code() in NO_COORDINATOR:
            return 0
        raise
    return sum(bool(member.assignment.topic_partitions) for member in described.members)


def test_devices_wait_until_ingestion_has_been_there(compose: Compose) -> None:
    """Given the broker alone, then no device is let in: what it sent would be acknowledged and lost."""
    wait_until(lambda: "no mark of ingestion's session" in compose.logs("mosquitto"), what="the broker to wait")
    assert connect(compose) is None


def test_readings_go_through_and_groups_share_or_copy(compose: Compose) -> None:
    """Given all services and three consumers in two groups, when devices publish, then all arrives where it should."""
    compose.run("up", "-d")
    admin = AdminClient({"bootstrap.servers": compose.bootstrap_servers})
    for group, members in {"shared": 2, "alone": 1, "telemetry-validator": 1, "telemetry-raw-logger": 1}.items():
        wait_until(lambda: count_members(admin, group) == members, what=f"{members} members of {group}")  # noqa: B023
    ids = publish(compose)

    wait_until(lambda: len(read_ids(compose, TOPIC_CLEAN)) == GOOD, what=f"{GOOD} clean readings")
    wait_until(lambda: len(read_ids(compose, TOPIC_DLQ)) == DAMAGED, what=f"{DAMAGED} dead letters")

    for everything in ("alone", "raw-logger"):
        wait_until(lambda: set(compose.ids(everything)) == ids, what=f"every message in {everything}")  # noqa: B023
    wait_until(lambda: len(compose.ids("shared-1")) + len(compose.ids("shared-2")) >= len(ids), what="their shares")
    first, second = compose.ids("shared-1"), compose.ids("shared-2")
    assert first
    assert second
    assert sorted([*first, *second]) == sorted(ids)


def test_down_leaves_nothing_behind(compose: Compose) -> None:
    """Given the running project, when it is taken down with its data, then no container, network or volume is left."""
    containers = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={compose.project}").split()
    assert len(containers) >= 8
    mounted = {
        mount["Name"]
        for container in json.loads(docker("inspect", *containers))
        for mount in container["Mounts"]
        if mount["Type"] == "volume"
    }
    compose.run("down", "-v")
    assert compose.left() == []
    assert mounted.isdisjoint(docker("volume", "ls", "-q").split())
