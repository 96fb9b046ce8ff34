"""A producer made before a fork: in the child every use is a clear error, at once; the parent's goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from integration_helpers import read_topic
from support.kafka_broker import KafkaBroker
from support.ports import free_port

SCRIPT = """
import os, sys, warnings
from producers.config import ProducerConfig
from producers.kafka_producer import KafkaProducer
from telemetry.errors import FatalKafkaError

# Python 3.12 warns of any fork beside threads, librdkafka's among them.
warnings.simplefilter("ignore", DeprecationWarning)
config = ProducerConfig(bootstrap_servers=sys.argv[1], linger_ms=0)
producer = KafkaProducer(config, sys.argv[2])
producer.produce(b"parent, before")
# A fork in the middle of a connection attempt would leave the C library's resolver locked in the child.
if len(sys.argv) == 3:
    assert producer.flush(30) == 0

def child():
{child}

pid = os.fork()
if pid == 0:
    child()
    sys.exit(0)  # as a program ends: with everything that it holds destroyed
_, status = os.waitpid(pid, 0)
if len(sys.argv) == 3:
    producer.produce(b"parent, after")
    assert producer.flush(30) == 0
else:
    producer.purge()
sys.exit(os.waitstatus_to_exitcode(status))
"""

USES = {
    "produce": "producer.produce(b'x')",
    "poll": "producer.poll(0.1)",
    "flush": "producer.flush()",
    "flush for a time": "producer.flush(1)",
    "purge": "producer.purge()",
    "len": "len(producer)",
    "with": "with producer: pass",
}


def run(child: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(child="".join(f"    {line}\n" for line in child.splitlines()))
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], timeout=60, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_any_use_in_the_child_is_an_error_that_says_what_to_do(use: str) -> None:
    done = run(use, f"127.0.0.1:{free_port()}", "t", "no broker")
    assert done.returncode == 1
    [error] = [line for line in done.stderr.splitlines() if line.startswith("telemetry.errors.FatalKafkaError: ")]
    assert "this KafkaProducer was made before a fork, in process " in error
    assert "make another one after the fork, in process " in error


def test_the_childs_own_error_is_not_hidden_by_the_end_of_a_with_block() -> None:
    done = run("with producer: sys.exit(3)", f"127.0.0.1:{free_port()}", "t", "no broker")
    assert done.returncode == 3, done.stderr


def test_a_child_that_leaves_it_alone_ends_as_any_process() -> None:
    done = run("global producer\ndel producer", f"127.0.0.1:{free_port()}", "t", "no broker")
    assert done.returncode == 0, done.stderr


def test_a_probe_in_the_child_fails() -> None:
    done = run(
        "assert 'before a fork' in producer.find_liveness_problem()", f"127.0.0.1:{free_port()}", "t", "no broker"
    )
    assert done.returncode == 0, done.stderr


def test_a_producer_of_the_childs_own_sends_and_the_parents_goes_on(
    kafka: KafkaBroker, unique: Callable[[str], str]
) -> None:
    (topic,) = kafka.create_topics([unique("raw")], partitions=1)
    child = "with KafkaProducer(config, sys.argv[2]) as own: own.produce(b'child')"
    done = run(child, kafka.bootstrap_servers, topic)
    assert done.returncode == 0, done.stderr
    values = [message.value() for message in read_topic(kafka, topic)]
    assert sorted(values, key=repr) == [b"child", b"parent, after", b"parent, before"]
