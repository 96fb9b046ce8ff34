"""Running the commands that look into a Kafka, in this process or as one of their own, and an in-memory Kafka."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from confluent_kafka import Producer

from iothub.app import run
from telemetry.dead_letters import Cause, Stage, build_dead_letter


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The result of ``--output json``."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the table, without its header."""
        assert self.code == 0, self.err
        lines = [[cell.strip() for cell in line.split("   ") if cell.strip()] for line in self.out.splitlines()]
        return lines[1:]

    @property
    def sentence(self) -> str:
        """The one sentence of a failure."""
        assert self.code != 0
        assert "Traceback" not in self.err
        assert self.out == ""
        last = self.err.splitlines()[-1]
        assert last.startswith("iothub: "), self.err
        assert self.err.count("iothub: ") == 1
        return last.removeprefix("iothub: ")


def iothub(*arguments: str, kafka: str | None = None) -> Answer:
    """Run a command in this process, on the Kafka at that address."""
    where = [] if kafka is None else ["--bootstrap-servers", kafka]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["iothub", *arguments, *where]):
        code = run()
    return Answer(code, out.getvalue(), err.getvalue())


@contextmanager
def iothub_process(
    *arguments: str, kafka: str, environment: Mapping[str, str] | None = None, **more: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a command as a process of its own; what still runs at the end of the block is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "iothub", *arguments, "--bootstrap-servers", kafka],
        env={"PATH": os.environ["PATH"], **(environment or {})},
        text=True,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | more),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pseudo-terminal: ours, and the one for a process."""
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


@contextmanager
def in_memory_kafka() -> Iterator[tuple[str, Producer]]:
    """Yield the address of librdkafka's mock cluster, which lives as long as its producer does."""
    producer = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = producer.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers), producer


def produce_letters(
    producer: Producer,
    dlq: str,
    values: list[bytes],
    *,
    topic: str | None,
    consumer: str = "alarm",
    reason: str = "bad_ts",
    stage: Stage = "validate",
    first: int = 0,
) -> None:
    """Write dead letters as a consumer does; each message's id is its number, its device D0 to D3."""
    for number, value in enumerate(values, first):
        letter = build_dead_letter(
            value,
            [("id", b"%d" % number), ("source", b"mqtt")],
            Cause(reason, "'ts' is no time", stage, "telemetry.errors.InvalidTelemetry"),
            consumer=consumer,
            at=datetime.now(UTC),
            topic=topic,
            partition=0,
            offset=number,
        )
        producer.produce(dlq, letter.value, key=f"D{number % 4}", headers=letter.headers)  # type: ignore[arg-type]
        producer.poll(0)
    assert producer.flush(30) == 0
