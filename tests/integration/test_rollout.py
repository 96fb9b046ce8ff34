"""A roll-out of a group's workers under a steady load: how long a partition waits, one worker after the other.

New ones come before old ones go, as the Deployment's strategy has it (one more at a time, none less).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import pytest
from confluent_kafka import Producer

from integration_helpers import OurProcess
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Start = Callable[..., OurProcess]

WORKERS = 3
PARTITIONS = 6
PERIOD_SECONDS = 0.02
"""Between two messages of a partition."""
MOST_SECONDS = 10.0
"""The longest that a partition may wait: a few rebalances, each of which a member hears of with its next heartbeat, one
a second; less than a member costs that goes without a word."""
HANDLER = """
import time
from pathlib import Path


class Notes:
    wants_records = True

    def __init__(self, folder):
        self._file = Path(folder, f"{time.time_ns()}.handled").open("w", buffering=1)

    def handle(self, record):
        self._file.write(f"{record.partition} {record.offset} {time.time()}\\n")
"""


@contextmanager
def steady_load(kafka: KafkaBroker, topic: str) -> Iterator[None]:
    """Send to every partition at a steady rate."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
    over = threading.Event()

    def run() -> None:
        while not over.wait(PERIOD_SECONDS):
            for partition in range(PARTITIONS):
                producer.produce(topic, b"{}", partition=partition)
            producer.poll(0)

    thread = threading.Thread(target=run, name="load")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)
        assert producer.flush(30) == 0


def read_handled(folder: Path) -> dict[int, list[tuple[float, int]]]:
    """Return by partition when each message was handled, and its offset, in the order of time."""
    found: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for path in folder.glob("*.handled"):
        for line in path.read_text().splitlines():
            partition, offset, moment = line.split()
            found[int(partition)].append((float(moment), int(offset)))
    return {partition: sorted(notes) for partition, notes in found.items()}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_no_partition_waits_long(
    kafka: KafkaBroker, tmp_path: Path, unique: Callable[[str], str], start_process: Start, protocol: str
) -> None:
    topic = unique("rollout")
    kafka.create_topics([topic], partitions=PARTITIONS)
    (tmp_path / "notes.py").write_text(HANDLER)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_GROUP_ID": unique("rollout"),
        "KAFKA_GROUP_PROTOCOL": protocol,
        "CONSUMER_TOPICS": topic,
        "CONSUMER_HANDLER": "Notes",
        "CONSUMER_HANDLER_FILE": str(tmp_path / "notes.py"),
        "CONSUMER_HANDLER_OPTIONS": f'{{"folder": "{tmp_path}"}}',
        "CONSUMER_BATCH": "false",
    }

    def start() -> OurProcess:
        worker = start_process("consumers", **environment)
        wait_until(lambda: is_ready(worker), what="a worker to be ready", hint=lambda: worker.log)
        return worker

    old = [start() for _ in range(WORKERS)]
    with steady_load(kafka, topic):
        wait_until(lambda: len(read_handled(tmp_path)) == PARTITIONS, what="a message of every partition")
        began = time.time()
        for leaving in old:
            start()
            assert leaving.terminate() == 0
        ended = time.time()
        wait_until(
            lambda: all(notes[-1][0] > ended for notes in read_handled(tmp_path).values()),
            what="every partition to go on",
        )

    handled = read_handled(tmp_path)
    pauses = {
        partition: max(later[0] - earlier[0] for earlier, later in pairwise(notes) if later[0] > began)
        for partition, notes in handled.items()
    }
    assert max(pauses.values()) <= MOST_SECONDS, pauses
    for notes in handled.values():
        offsets = {offset for _, offset in notes}
        assert offsets == set(range(len(offsets))), "none is left out"


def is_ready(worker: OurProcess) -> bool:
    """Return whether it has joined the group and has what is its own."""
    assert worker.returncode is None, worker.log
    try:
        with urlopen(f"http://127.0.0.1:{worker.port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
