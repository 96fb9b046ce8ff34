"""Apache Kafka as the hub runs it: real jars, real Java, kills, and the sentences where it can't start."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from integration.iothub.servers_running import produce, read, running
from iothub.errors import StartFailed
from iothub.servers.jars import jars_folder, kafka_version, prepare_jars
from iothub.servers.java import Java, find_java
from iothub.servers.kafka import explain_failure, find_problem, prepare_kafka
from iothub.servers.ports import LOOPBACK, free_port
from iothub.servers.server import KafkaServer
from iothub.servers.topics import build_hub_topics, make_topics
from support import require
from support.process import ServerProcess

pytestmark = pytest.mark.kafka


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    problem = find_problem()
    if problem is not None:
        require.missing("Apache Kafka", problem)
    return tmp_path / "kafka"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "kafka.log"


def prepare(folder: Path, log: Path, port: int | None = None) -> KafkaServer:
    return prepare_kafka(folder, port=port or free_port(), log=log, heap_mib=320)


def address(server: KafkaServer) -> str:
    assert server.bootstrap_servers is not None
    return server.bootstrap_servers


def test_it_serves_is_killed_and_serves_again_on_another_port(folder: Path, log: Path) -> None:
    values = [str(number).encode() for number in range(500)]
    server = prepare(folder, log)
    assert (server.in_memory, server.limits, server.title) == (False, (), f"Apache Kafka {kafka_version()}")
    with running(server.program, log) as process:
        make_topics(address(server), build_hub_topics())
        make_topics(address(server), build_hub_topics())  # a second time there is nothing to do
        found = AdminClient({"bootstrap.servers": address(server)}).list_topics(timeout=10).topics
        assert {name: len(topic.partitions) for name, topic in found.items()} == {
            topic.name: topic.partitions for topic in build_hub_topics()
        }
        produce(address(server), "telemetry.raw", values)
        assert read(address(server), "telemetry.raw", "first", 500) == set(values)
        process.kill()

    again = prepare(folder, log)
    assert address(again) != address(server)
    with running(again.program, log):
        assert read(address(again), "telemetry.raw", "second", 500) == set(values)
        produce(address(again), "telemetry.raw", [b"new"])
        assert read(address(again), "telemetry.raw", "first", 1) == {b"new"}  # from where it had committed


def test_its_topics_are_as_the_design_has_them_and_none_is_made_by_use(folder: Path, log: Path) -> None:
    server = prepare(folder, log)
    with running(server.program, log):
        make_topics(address(server), build_hub_topics())
        client = AdminClient({"bootstrap.servers": address(server)})
        for topic in build_hub_topics():
            resource = ConfigResource(ResourceType.TOPIC, topic.name)
            (future,) = client.describe_configs([resource]).values()
            configs = future.result(10)
            assert {name: configs[name].value for name in topic.configs} == topic.configs
        client.list_topics("by-use", timeout=10)
        assert "by-use" not in client.list_topics(timeout=10).topics


def test_a_port_that_somebody_takes_first_is_told_from_its_log(folder: Path, log: Path) -> None:
    server = prepare(folder, log)
    port = int(address(server).rpartition(":")[2])
    with socket.create_server((LOOPBACK, port)):
        with pytest.raises(StartFailed, match=rf"^port {port} is taken by another program; .* --kafka-port$"):
            prepare(folder, log, port=port)
        with pytest.raises(RuntimeError, match="ended with 1"):
            never_up(server, log)
    assert explain_failure(log) == (
        f"port {port} is taken by another program; free it, or choose another with --kafka-port"
    )


def test_a_kafka_that_still_runs_on_the_data_is_told_from_its_log(folder: Path, log: Path, tmp_path: Path) -> None:
    with running(prepare(folder, log).program, tmp_path / "orphan.log"):
        with pytest.raises(RuntimeError, match="ended with 1"):
            never_up(prepare(folder, log), log)
        assert explain_failure(log) == f"another Kafka still runs on the data in {folder / 'data'}; end it first"


def never_up(server: KafkaServer, log: Path) -> None:
    ServerProcess("kafka", server.program.command, log=log).start(lambda: False, timeout=60)


def test_data_of_a_newer_kafka_is_left_alone(folder: Path, log: Path) -> None:
    prepare(folder, log)
    before = (folder / "data" / "meta.properties").read_bytes()
    (folder / "kafka.version").write_text("99.0.0\n")
    with pytest.raises(StartFailed, match=rf"is of Apache Kafka 99\.0\.0, this is {kafka_version()}, .* --fresh$"):
        prepare(folder, log)
    assert (folder / "data" / "meta.properties").read_bytes() == before
    (folder / "kafka.version").write_text("4.0.0\n")
    prepare(folder, log)
    assert (folder / "kafka.version").read_text().strip() == kafka_version()


def test_a_format_that_was_interrupted_begins_anew(folder: Path, log: Path) -> None:
    half = folder / "data.new"
    half.mkdir(parents=True)
    (half / "bootstrap.checkpoint").write_bytes(b"half")
    server = prepare(folder, log)
    assert not half.exists()
    with running(server.program, log):
        make_topics(address(server), build_hub_topics())


def test_a_java_that_is_too_old_is_named(
    folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.22\" 2024-01-16' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StartFailed, match=rf"{java} is Java 11\.0\.22, Apache Kafka needs 17 or later"):
        prepare(folder, log)
    assert not folder.exists()


def test_a_damaged_jar_never_runs(folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = prepare_jars()
    java = find_java()
    assert isinstance(java, Java)
    monkeypatch.setenv("JAVA_HOME", str(java.path.resolve().parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = jars_folder()
    shutil.copytree(whole, copy)
    jar = copy / f"kafka-clients-{kafka_version()}.jar"
    jar.write_bytes(jar.read_bytes()[:-1] + b"\xff")
    with monkeypatch.context() as without_maven:
        without_maven.setattr("iothub.servers.jars.shutil.which", lambda name: None)
        with pytest.raises(StartFailed, match=rf"{jar.name} is damaged, and there is no Maven"):
            prepare(folder, log)
    prepare(folder, log)
    assert jar.read_bytes() == (whole / jar.name).read_bytes()
