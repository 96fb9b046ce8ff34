"""librdkafka's mock cluster as the hub runs it: several processes, groups, the pipeline, and what it can't do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from integration.iothub.servers_running import produce, read, running
from integration_helpers import OurProcess
from iothub.errors import Unavailable
from iothub.servers.mock_kafka import MAX_MEBIBYTES, OTHER_PARTITIONS, prepare_mock, read_bootstrap
from iothub.servers.ports import is_open
from iothub.servers.topics import build_hub_topics, touch_topics
from support.waiting import wait_until

Start = Callable[..., OurProcess]


def test_it_has_the_hubs_topics_and_makes_others_by_use(mock: str) -> None:
    client = AdminClient({"bootstrap.servers": mock})
    found = client.list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in found.items()} == {
        topic.name: topic.partitions for topic in build_hub_topics()
    }
    touch_topics(mock, ["telemetry.raw", "alarms"])
    assert len(client.list_topics(timeout=10).topics["alarms"].partitions) == OTHER_PARTITIONS
    assert len(client.list_topics(timeout=10).topics["telemetry.raw"].partitions) == 6


def test_a_new_group_begins_at_once_and_goes_on_where_it_was(mock: str) -> None:
    values = [str(number).encode() for number in range(100)]
    produce(mock, "telemetry.raw", values)
    before = time.monotonic()
    assert read(mock, "telemetry.raw", "one", 100) == set(values)
    assert time.monotonic() - before < 2.5  # librdkafka's own delay is 3 s
    assert read(mock, "telemetry.raw", "two", 100) == set(values)
    produce(mock, "telemetry.raw", [b"new"])
    assert read(mock, "telemetry.raw", "one", 1) == {b"new"}


def test_two_processes_of_one_group_share_and_a_third_group_gets_all(mock: str, start_process: Start) -> None:
    """Given ingestion's messages, then the validator of two processes has each of them once, good or bad."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": mock, "KAFKA_GROUP_ID": "validator", "CONSUMER_HANDLER": "validator"}
    settings |= {"CONSUMER_TOPICS": "telemetry.raw", "CONSUMER_OUTPUT_TOPIC": "telemetry.clean"}
    settings |= {"CONSUMER_DLQ_TOPIC": "telemetry.dlq"}
    settings |= {"KAFKA_PROPERTIES": '{"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}'}
    workers = [start_process("consumers", **settings) for _ in range(2)]
    wait_until(lambda: all(is_open(worker.port) for worker in workers), what="the workers")
    good = [
        b'{"schema_version":1,"device":"DEV-%d","metrics":{"t":1},"ts":"2026-02-20 22:45"}' % number
        for number in range(300)
    ]
    bad = [b"bad %d" % number for number in range(50)]
    produce(mock, "telemetry.raw", good + bad)
    assert read(mock, "telemetry.dlq", "reads", 50) == set(bad)
    assert len(read(mock, "telemetry.clean", "reads", 300)) == 300
    assert all(worker.terminate() == 0 for worker in workers)
    client = Consumer({"bootstrap.servers": mock, "group.id": "ends"})
    ends = sum(high_watermark(client, "telemetry.clean", number) for number in range(6))
    client.close()
    assert ends == 300, "handled twice"


def high_watermark(client: Consumer, topic: str, partition: int) -> int:
    return client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]


def test_a_partition_keeps_its_newest_messages_only(mock: str) -> None:
    """The limit that the screen names is the limit that it has."""
    kilobyte, sent = 1024, 3 * MAX_MEBIBYTES * 1024
    producer = Producer({"bootstrap.servers": mock, "compression.type": "none", "linger.ms": 50})
    for _ in range(sent):
        producer.produce("telemetry.raw", os.urandom(kilobyte), partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    client = Consumer({"bootstrap.servers": mock, "group.id": "ends"})
    low, high = client.get_watermark_offsets(TopicPartition("telemetry.raw", 0), timeout=10)
    client.close()
    assert high == sent
    # It drops whole batches, of up to 1 MB.
    assert (MAX_MEBIBYTES - 1) * 1024 <= high - low <= (MAX_MEBIBYTES + 1) * 1024


def list_groups(client: AdminClient) -> None:
    errors = client.list_consumer_groups(request_timeout=2).result().errors
    if errors:
        raise KafkaException(errors[0])


def describe_group(client: AdminClient) -> None:
    client.describe_consumer_groups(["g"], request_timeout=2)["g"].result()


def describe_configs(client: AdminClient) -> None:
    resource = ConfigResource(ResourceType.TOPIC, "telemetry.raw")
    client.describe_configs([resource], request_timeout=2)[resource].result()


@pytest.mark.parametrize("ask", [list_groups, describe_group, describe_configs])
def test_what_the_screen_says_it_can_t_do_it_can_t(mock: str, ask: Callable[[AdminClient], None]) -> None:
    with pytest.raises(KafkaException):
        ask(AdminClient({"bootstrap.servers": mock, "log_level": 0}))


def test_an_address_of_the_last_run_is_not_taken_for_this_one(tmp_path: Path) -> None:
    server = prepare_mock(tmp_path)
    with running(server.program, tmp_path / "mock.log") as process:
        assert server.program.is_ready()
        process.kill()
    assert read_bootstrap(tmp_path)
    assert not server.program.is_ready()
    prepare_mock(tmp_path)
    with pytest.raises(Unavailable, match="has not written its address"):
        read_bootstrap(tmp_path)


def test_it_ends_with_sigterm_quietly(tmp_path: Path) -> None:
    server = prepare_mock(tmp_path / "mock")
    with running(server.program, tmp_path / "mock.log") as process:
        assert process.stop(timeout=5) == 0
    assert (tmp_path / "mock.log").read_text() == ""


def test_it_does_not_outlive_a_hub_that_is_killed(tmp_path: Path) -> None:
    server = prepare_mock(tmp_path)
    starts = f"import subprocess, sys; subprocess.Popen({list(server.program.command)!r}); sys.stdin.read()"
    hub = subprocess.Popen([sys.executable, "-c", starts], stdin=subprocess.PIPE)
    try:
        wait_until(server.program.is_ready, what="the mock cluster")
        (child,) = psutil.Process(hub.pid).children()
        os.kill(hub.pid, signal.SIGKILL)
        hub.wait(10)
        wait_until(lambda: not child.is_running(), timeout=10, what="the orphan's end")
    finally:
        hub.kill()
        hub.communicate()
