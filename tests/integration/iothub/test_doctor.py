"""`iothub doctor` as a person types it: on a bare machine, with a hub that runs, with a real Kafka."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from integration.iothub.hub_process import Up
from support.kafka_broker import KafkaBroker
from support.plugin import KafkaFactory
from support.ports import free_port
from support.waiting import wait_until

ROOT = Path(__file__).parents[3]
Doctor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing on the PATH, and folders that are empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return {
        "PATH": str(folder),
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


@pytest.fixture
def doctor(environment: dict[str, str]) -> Doctor:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "iothub", "doctor", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)

    return run


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Return the findings by name."""
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert report["well"] is (done.returncode == 0)
    return {finding["name"]: finding for finding in report["findings"]}


def test_help(doctor: Doctor) -> None:
    done = doctor("--help")
    assert done.returncode == 0
    assert "what to type" in done.stdout


def test_on_a_bare_machine_nothing_is_wrong(doctor: Doctor, tmp_path: Path) -> None:
    """Given a machine with Python and nothing else, then it can do, and the report says what it does without."""
    done = doctor()
    assert done.returncode == 0, done.stdout
    assert "\x1b" not in done.stdout
    assert "there is none on the PATH" in done.stdout
    assert "the Kafka in memory" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("nothing is wrong, ")
    assert done.stderr == "waiting for the programs of this machine …\n"
    # Nothing is made by looking.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


def test_what_is_too_old_is_wrong(doctor: Doctor, environment: dict[str, str]) -> None:
    java = Path(environment["PATH"]) / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    done = doctor("--output", "json")
    assert done.returncode == 1
    found = findings(done)
    assert found["Java"]["state"] == "wrong"
    assert found["Maven"]["state"] == "missing"


def test_a_kafka_that_does_not_answer_is_wrong(doctor: Doctor) -> None:
    done = doctor("--bootstrap-servers", f"127.0.0.1:{free_port()}", "--output", "json")
    assert done.returncode == 1
    assert "no Kafka answers at 127.0.0.1:" in findings(done)["Kafka"]["found"]


def test_a_context_needs_kubectl(doctor: Doctor) -> None:
    done = doctor("--context", "kind-nowhere", "--output", "json")
    assert done.returncode == 1
    assert "needs kubectl" in findings(done)["cluster"]["found"]


def test_two_places_are_refused(doctor: Doctor) -> None:
    done = doctor("--context", "kind", "--bootstrap-servers", "localhost:9092")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "iothub: --context and --bootstrap-servers name two Kafkas: write one of them\n"


def test_ctrl_c_ends_it(environment: dict[str, str]) -> None:
    # Given a program that takes its time
    slow = Path(environment["PATH"]) / "docker"
    slow.write_text(f"#!{sys.executable}\nimport time, pathlib\npathlib.Path({str(slow)!r} + '.began').touch()\n")
    slow.write_text(slow.read_text() + "time.sleep(20)\n")
    slow.chmod(0o755)
    command = [sys.executable, "-m", "iothub", "doctor"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: Path(f"{slow}.began").exists(), what="the check to begin")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


def test_a_hub_that_runs_is_found_with_its_kafka(up: Up) -> None:
    hub = up("--kafka", "mock", "--mqtt", "amqtt").wait_until_ready()
    found = findings(hub.iothub("doctor", "--output", "json"))
    assert f"(process {hub.pid})" in found["hub test"]["found"]
    assert found["hub test"]["state"] == "ok"
    assert "in memory" in found["Kafka"]["found"]
    assert found["topic telemetry.raw"]["state"] == "ok"


def test_topics_and_groups_of_a_real_kafka(doctor: Doctor, kafka_factory: KafkaFactory) -> None:
    """Given a Kafka without the topics, then with them, then with a group that does nothing."""
    kafka: KafkaBroker = kafka_factory()
    arguments = ("--bootstrap-servers", kafka.bootstrap_servers, "--output", "json")
    found = findings(doctor(*arguments))
    assert found["Kafka"]["state"] == "ok"
    assert found["topic telemetry.raw"]["state"] == "wrong"
    assert found["topic telemetry.raw"]["advice"].endswith("python -m topics compose/topics.json")

    subprocess.run(
        [sys.executable, "-m", "topics", str(ROOT / "compose" / "topics.json")],
        env={"PATH": os.environ["PATH"], "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers},
        check=True,
        timeout=60,
        capture_output=True,
    )
    found = findings(doctor(*arguments))
    assert {found[f"topic telemetry.{name}"]["found"] for name in ("raw", "clean", "dlq")} == {"there"}
    assert found["groups"]["found"] == "0, none of them behind"

    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for number in range(10):
        producer.produce("telemetry.raw", b"{}", partition=number % 2)
    assert producer.flush(20) == 0
    settings = {"bootstrap.servers": kafka.bootstrap_servers, "enable.auto.commit": False}
    stuck, left = Consumer(settings | {"group.id": "stuck"}), Consumer(settings | {"group.id": "left"})
    try:
        left.commit(offsets=[TopicPartition("telemetry.raw", 0, 1)], asynchronous=False)
        stuck.commit(offsets=[TopicPartition("telemetry.raw", 0, 2)], asynchronous=False)
        stuck.subscribe(["telemetry.raw"])
        wait_until(lambda: stuck.poll(0.2) is not None or stuck.assignment(), what="the member to have partitions")
        done = doctor(*arguments)
    finally:
        stuck.close()
        left.close()
    assert done.returncode == 1
    found = findings(done)
    assert (found["group stuck"]["state"], found["group left"]["state"]) == ("wrong", "missing")
    assert "messages wait" in found["group stuck"]["found"]
