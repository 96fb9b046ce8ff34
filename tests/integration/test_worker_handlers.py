"""Handlers in a real worker process: what a wrong one says, an async one at work, and a log without secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from integration_helpers import OurProcess, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until

Start = Callable[..., OurProcess]

USER, PASSWORD = "worker", "pa55word-of-sasl"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a handler's file, and return its path."""

    def write_file(text: str) -> str:
        path = tmp_path / "my_handler.py"
        path.write_text(dedent(text))
        return str(path)

    return write_file


def events(process: OurProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in process.log.splitlines()]


WRONG = {
    "syntax": ("class H:\n    def handle(self:\n", {}, "SyntaxError: '(' was never closed (FILE, line 2"),
    "import": ("import no_such_library\n", {}, "No module named 'no_such_library' (FILE, line 1)"),
    "class": ("class Other:\n    pass\n", {}, "FILE has no class 'H'; its classes: Other"),
    "options": (
        "class H:\n    def __init__(self, limit=30.0): pass\n    def handle(self, p): pass\n",
        {"limt": 1},
        "H(limit=30.0) has no option 'limt'",
    ),
    "no handle": ("class H:\n    pass\n", {}, "FILE:H has no method handle(payload)"),
    "arguments": (
        "class H:\n    def handle(self, topic, payload): pass\n",
        {},
        "FILE:H: handle(topic, payload) is called with the payload, and can't be: missing a required argument",
    ),
    "abstract": (
        "import abc\nclass H(abc.ABC):\n    @abc.abstractmethod\n    def handle(self, p): ...\n",
        {},
        "H is abstract: it has no handle()",
    ),
    "setup": (
        "class H:\n    async def setup(self):\n        1 / 0\n    def handle(self, p): pass\n",
        {},
        "setup() failed: ZeroDivisionError: division by zero (FILE, line 3)",
    ),
    "exit": ("import sys\nsys.exit(0)\n", {}, "importing my_handler.py failed: SystemExit: 0 (FILE, line 2)"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_handler_that_can_not_work_is_one_sentence_and_exit_code_78(
    kind: str, write: Callable[[str], str], start_process: Start, tmp_path: Path
) -> None:
    # Given
    text, options, sentence = WRONG[kind]
    file = write(text)
    last_words = tmp_path / "termination-log"
    last_words.touch()
    # When
    process = start_process(
        "consumers",
        CONSUMER_TOPICS="telemetry.raw",
        CONSUMER_HANDLER="H",
        CONSUMER_HANDLER_FILE=file,
        CONSUMER_HANDLER_OPTIONS=json.dumps(options),
        TERMINATION_LOG=str(last_words),
    )
    # Then
    assert process.wait() == 78
    [event] = events(process)
    assert (event["event"], event["exit_code"]) == ("process ends", 78)
    assert sentence.replace("FILE", file) in event["problem"]
    assert json.loads(last_words.read_bytes()) == {"reason": event["reason"], "message": event["problem"]}


def test_an_async_handler_keeps_what_it_has_made_until_the_end(
    kafka: KafkaBroker, topic: str, write: Callable[[str], str], start_process: Start, unique: Callable[[str], str]
) -> None:
    # Given a handler that talks over a connection which it made in setup()
    (out,) = kafka.create_topics([unique("out")], partitions=1)
    file = write(
        """
        import asyncio

        from consumers import Outgoing

        class Echo:
            async def setup(self):
                self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
                port = self.server.sockets[0].getsockname()[1]
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)

            async def answer(self, reader, writer):
                while line := await reader.readline():
                    writer.write(line.upper())
                writer.close()

            async def handle(self, batch):
                for message in batch:
                    self.writer.write(message["name"].encode() + b"\\n")
                    answer = await self.reader.readline()
                    yield Outgoing(value=answer.strip())

            async def close(self):
                self.writer.close()
                await self.writer.wait_closed()
                self.server.close()
                print('{"event": "closed in order"}', flush=True)
        """
    )
    process = start_process(
        "consumers",
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        KAFKA_GROUP_ID=unique("echo"),
        CONSUMER_TOPICS=topic,
        CONSUMER_HANDLER="Echo",
        CONSUMER_HANDLER_FILE=file,
        CONSUMER_OUTPUT_TOPIC=out,
        CONSUMER_TIMEOUT_SECONDS="0.1",
    )
    # When messages come in several batches
    for round_ in range(3):
        send(kafka, topic, [b'{"name":"round %d"}' % round_])
        wait_until(lambda: len(read_topic(kafka, out)) == round_ + 1, hint=lambda: process.log)  # noqa: B023
    # Then
    assert [message.value() for message in read_topic(kafka, out)] == [b"ROUND 0", b"ROUND 1", b"ROUND 2"]
    assert process.terminate() == 0
    assert "closed in order" in [event["event"] for event in events(process)]


def test_the_logger_sees_what_is_no_json(
    kafka: KafkaBroker, topic: str, dlq: str, start_process: Start, unique: Callable[[str], str]
) -> None:
    """Whatever its TelemetryConsumer decodes: it shows what goes through a topic."""
    send(kafka, topic, [b"{damaged"])
    process = start_process(
        "consumers",
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        KAFKA_GROUP_ID=unique("logger"),
        CONSUMER_TOPICS=topic,
        CONSUMER_HANDLER="logger",
        CONSUMER_DECODE_JSON="true",
        CONSUMER_DLQ_TOPIC=dlq,
    )
    wait_until(lambda: "{damaged" in process.log, hint=lambda: process.log)
    assert process.terminate() == 0
    assert read_topic(kafka, dlq) == []


@pytest.fixture
def sasl_kafka(tmp_path: Path) -> Iterator[tuple[KafkaBroker, str]]:
    """A broker with a second listener that asks for a password, and where that is."""
    broker = KafkaBroker(tmp_path / "kafka")
    address = f"SASL://127.0.0.1:{free_port()}"
    more = {
        "listeners": f"{broker._properties['listeners']},{address}",
        "advertised.listeners": f"{broker._properties['advertised.listeners']},{address}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        ),
    }
    broker._properties.update(more)
    with broker:
        yield broker, address.removeprefix("SASL://")


def test_no_secret_is_in_any_line_of_the_log(
    sasl_kafka: tuple[KafkaBroker, str], write: Callable[[str], str], start_process: Start
) -> None:
    # Given a handler that tells what it should not, on every way into the log
    file = write(
        """
        import logging
        import warnings

        import structlog

        class Leaky:
            def __init__(self, api_token, db, url):
                self.options = {"api_token": api_token, "db": db, "url": url}
                structlog.get_logger("leaky").debug("made", options=self.options)

            def handle(self, payload):
                logging.getLogger("leaky").debug("connecting to %s", self.options)
                warnings.warn(f"{self.options} is old")
                raise ValueError(f"login failed: {self.options}")
        """
    )
    secrets = {
        "sasl": PASSWORD,
        "property": "pa55word-of-a-property",
        "token": "pa55word-of-an-option",
        "nested": "pa55word-below-an-option",
        "url": "pa55word-of-a-url",
    }
    broker, address = sasl_kafka
    broker.create_topics(["raw", "dlq"], partitions=1)
    send(broker, "raw", [b"{}"])
    environment = {
        "LOG_LEVEL": "DEBUG",
        "KAFKA_BOOTSTRAP_SERVERS": address,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": secrets["sasl"],
        "KAFKA_PROPERTIES": json.dumps(
            {"debug": "conf,security,broker,protocol,cgrp", "ssl.key.password": secrets["property"]}
        ),
        "CONSUMER_TOPICS": "raw",
        "CONSUMER_HANDLER": "Leaky",
        "CONSUMER_HANDLER_FILE": file,
        "CONSUMER_HANDLER_OPTIONS": json.dumps(
            {
                "api_token": secrets["token"],
                "db": {"password": secrets["nested"]},
                "url": f"postgres://iot:{secrets['url']}@db/telemetry",
            }
        ),
        "CONSUMER_DLQ_TOPIC": "dlq",
        "CONSUMER_MAX_ATTEMPTS": "2",
        "CONSUMER_BATCH": "false",
    }
    # When it runs over SASL, fails on a message, and ends
    process = start_process("consumers", **environment)
    wait_until(lambda: len(read_topic(broker, "dlq")) == 1, hint=lambda: process.log[-3000:])
    assert process.terminate() == 0
    # And another one is refused by the broker
    refused = start_process("consumers", "--preflight", **environment | {"KAFKA_SASL_PASSWORD": "wrong-pa55word"})
    assert refused.wait() == 75
    # Then every line is an event, librdkafka's own among them, and none holds a secret
    assert headers_of(read_topic(broker, "dlq")[0])["dlq.reason"] == "handler_failed"
    seen = {event["event"] for event in events(process)}
    assert {"made", "handler failed", "consumer closed"} <= seen
    assert any("SASL" in event["event"] for event in events(process) if event.get("logger") == "librdkafka")
    assert "Traceback" in process.log
    for log in (process.log, refused.log):
        assert "pa55word" not in log
