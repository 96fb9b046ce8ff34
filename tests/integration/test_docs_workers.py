"""docs/workers.md is true: its Python files run, over a real Kafka where they talk to one, and its commands exist."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from consumers.handlers import load_handler
from integration_helpers import OurProcess, committed, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "workers.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)
FILES = {
    match[1]: text
    for language, text in BLOCKS
    if language in {"python", "yaml"} and (match := re.match(r"# (\S+\.(?:py|yaml))\n", text))
}
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.replace("\\\n", "").splitlines()]

Start = Callable[..., OurProcess]


def reading(number: int, **metrics: float) -> bytes:
    message = {"schema_version": 1, "device": f"DEV-{number:02}", "metrics": metrics, "ts": "2026-02-20T22:45:00Z"}
    return json.dumps(message).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def work(
    kafka: KafkaBroker, topic: str, dlq: str, folder: Path, start_process: Start, unique: Callable[[str], str]
) -> Callable[..., OurProcess]:
    """Start a worker with a handler of the page on ``topic``."""

    def start(file: str, name: str, options: Mapping[str, object], **more: str) -> OurProcess:
        return start_process(
            "consumers",
            KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
            KAFKA_GROUP_ID=unique("page"),
            CONSUMER_TOPICS=topic,
            CONSUMER_HANDLER=name,
            CONSUMER_HANDLER_FILE=str(folder / file),
            CONSUMER_HANDLER_OPTIONS=json.dumps(options),
            CONSUMER_DLQ_TOPIC=dlq,
            CONSUMER_TIMEOUT_SECONDS="0.2",
            **more,
        )

    return start


def test_every_python_block_is_a_file_of_its_own() -> None:
    python = [text for language, text in BLOCKS if language == "python"]
    assert len(python) >= 6
    assert sum(name.endswith(".py") for name in FILES) == len(python)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_what_a_file_imports_of_ours_is_there(name: str) -> None:
    for node in ast.walk(ast.parse(FILES[name])):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in {"consumers", "producers"}:
            module = __import__(node.module, fromlist=["x"])
            assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hot.py:Hot", {"limit": 21}),
        ("store.py:Store", {"path": "x.db"}),
        ("fahrenheit.py:Fahrenheit", {}),
        ("forward.py:Forward", {"url": "http://localhost", "api_token": "t"}),
    ],
)
def test_every_handler_loads(name: str, options: dict[str, object], folder: Path) -> None:
    file, _, class_name = name.partition(":")
    assert load_handler(class_name, file=str(folder / file), options=options)


def test_its_tests_pass(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_handlers.py"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_hot_runs_as_a_worker(kafka: KafkaBroker, topic: str, work: Callable[..., OurProcess]) -> None:
    send(kafka, topic, [reading(1, temperature=20), reading(2, temperature=22)])
    process = work("hot.py", "Hot", {"limit": 21})
    wait_until(lambda: "DEV-02 is at 22" in process.log, hint=lambda: process.log)
    assert process.terminate() == 0
    assert "DEV-01" not in process.log


def test_store_keeps_each_reading_once(
    kafka: KafkaBroker, topic: str, folder: Path, work: Callable[..., OurProcess]
) -> None:
    # Given every reading twice, as after a redelivery
    values = [reading(number, temperature=number) for number in range(20)]
    send(kafka, topic, values)
    send(kafka, topic, values)
    # When
    path = folder / "readings.db"
    process = work("store.py", "Store", {"path": str(path)})
    group = process_group(process)
    wait_until(lambda: sum(committed(kafka, group, topic, 3).values()) == 40, hint=lambda: process.log)
    assert process.terminate() == 0
    # Then
    rows = sqlite3.connect(path).execute("select device, metrics from reading").fetchall()
    assert sorted(rows) == [(f"DEV-{number:02}", f'{{"temperature": {number}}}') for number in range(20)]


def test_fahrenheit_hands_on_and_rejects(
    kafka: KafkaBroker, topic: str, dlq: str, unique: Callable[[str], str], work: Callable[..., OurProcess]
) -> None:
    (out,) = kafka.create_topics([unique("fahrenheit")], partitions=1)
    send(kafka, topic, [reading(1, temperature=20), reading(2, humidity=40), b"{no json"])
    process = work("fahrenheit.py", "Fahrenheit", {}, CONSUMER_OUTPUT_TOPIC=out)
    wait_until(lambda: len(read_topic(kafka, dlq)) == 2, hint=lambda: process.log)
    wait_until(lambda: len(read_topic(kafka, out)) == 1, hint=lambda: process.log)
    assert process.terminate() == 0
    (good,) = read_topic(kafka, out)
    assert json.loads(good.value() or b"")["metrics"] == {"temperature": 68.0}
    assert (good.key(), headers_of(good)) == (b"k0", {"id": "0"})
    letters = {letter.value(): headers_of(letter) for letter in read_topic(kafka, dlq)}
    assert {value: letter["dlq.reason"] for value, letter in letters.items()} == {
        reading(2, humidity=40): "no_temperature",
        b"{no json": "not_json",
    }


class Service:
    """A web service that is busy at first, then takes what it likes, and notes over which connection."""

    def __init__(self) -> None:
        self.busy = 2
        self.taken: list[str] = []
        self.connections: set[Any] = set()
        self.tokens: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        self.tokens.add(request.headers["Authorization"])
        message = await request.json()
        if message["device"] == "DEV-13":
            return web.Response(status=422, text="13 is unlucky")
        if self.busy:
            self.busy -= 1
            return web.Response(status=503)
        self.taken.append(message["device"])
        return web.Response()


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, str]]:
    taker = Service()
    app = web.Application()
    app.router.add_post("/readings", taker.take)
    async with TestServer(app) as server:
        yield taker, str(server.make_url("/readings"))


async def test_forward_posts_rejects_and_waits(
    kafka: KafkaBroker,
    topic: str,
    dlq: str,
    work: Callable[..., OurProcess],
    service: tuple[Service, str],
) -> None:
    import asyncio

    taker, url = service
    send(kafka, topic, [reading(number) for number in (11, 12, 13, 14)])
    process = work("forward.py", "Forward", {"url": url, "api_token": "t0ken-of-the-page"})

    def all_done() -> bool:
        return {"DEV-11", "DEV-12", "DEV-14"} <= set(taker.taken) and len(read_topic(kafka, dlq)) == 1

    await asyncio.to_thread(wait_until, all_done, hint=lambda: process.log)
    # And the next one goes over a connection that was kept
    before = set(taker.connections)
    await asyncio.to_thread(send, kafka, topic, [reading(21)])
    await asyncio.to_thread(wait_until, lambda: "DEV-21" in taker.taken, hint=lambda: process.log)
    assert taker.connections == before
    assert await asyncio.to_thread(process.terminate) == 0
    (letter,) = read_topic(kafka, dlq)
    assert headers_of(letter)["dlq.reason"] == "refused"
    assert headers_of(letter)["__connect.errors.exception.message"] == "13 is unlucky"
    assert taker.tokens == {"Bearer t0ken-of-the-page"}
    assert "partition waits" in process.log
    assert "t0ken" not in process.log


@pytest.fixture
def script(kafka: KafkaBroker, folder: Path, unique: Callable[[str], str]) -> Callable[..., subprocess.Popen[str]]:
    """Run a file of the page as a person would, with its topics replaced by the test's own."""

    def run(name: str, topics: Mapping[str, str]) -> subprocess.Popen[str]:
        text = FILES[name]
        for theirs, ours in topics.items():
            assert theirs in text
            text = text.replace(theirs, ours)
        (folder / name).write_text(text, "utf-8")
        return subprocess.Popen(
            [sys.executable, name],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "KAFKA_GROUP_ID": unique(name),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


def test_produce_and_consume_as_written(
    kafka: KafkaBroker, topic: str, script: Callable[..., subprocess.Popen[str]], unique: Callable[[str], str]
) -> None:
    producing = script("produce.py", {"telemetry.raw": topic})
    assert producing.communicate(timeout=60)[0] == ""
    assert producing.returncode == 0
    (message,) = read_topic(kafka, topic)
    assert message.key() == b"DEV-01"
    assert json.loads(message.value() or b"")["metrics"] == {"humidity": 20, "temperature": 20}

    consuming = script("consume.py", {"telemetry.raw": topic})
    try:
        assert consuming.stdout is not None
        assert "1 messages\n" in consuming.stdout  # reads up to there
        consuming.terminate()
        assert consuming.wait(40) == 0
    finally:
        consuming.kill()
        consuming.communicate()
    assert sum(committed(kafka, unique("consume.py"), topic, 3).values()) == 1


def test_convert_as_written(
    kafka: KafkaBroker, topic: str, dlq: str, script: Callable[..., subprocess.Popen[str]], unique: Callable[[str], str]
) -> None:
    (out,) = kafka.create_topics([unique("fahrenheit")], partitions=1)
    send(kafka, topic, [reading(number, temperature=20) for number in range(10)] + [reading(11, humidity=40)])
    converting = script("convert.py", {"telemetry.clean": topic, "telemetry.fahrenheit": out, "telemetry.dlq": dlq})
    try:
        wait_until(lambda: len(read_topic(kafka, out, transactional=True)) == 10)
        wait_until(lambda: len(read_topic(kafka, dlq, transactional=True)) == 1)
        converting.terminate()
        output, _ = converting.communicate(timeout=40)
    finally:
        converting.kill()
    assert converting.returncode == 0, output
    values = [json.loads(message.value() or b"") for message in read_topic(kafka, out, transactional=True)]
    assert {value["metrics"]["temperature"] for value in values} == {68.0}


async def test_consume_async_as_written(
    kafka: KafkaBroker,
    topic: str,
    script: Callable[..., subprocess.Popen[str]],
    service: tuple[Service, str],
) -> None:
    import asyncio

    taker, url = service
    taker.busy = 0
    send(kafka, topic, [reading(1)])
    consuming = script("consume_async.py", {"telemetry.clean": topic, "http://localhost:8080/readings": url})
    try:
        await asyncio.to_thread(wait_until, lambda: taker.taken == ["DEV-01"])
        consuming.terminate()
        output, _ = await asyncio.to_thread(consuming.communicate, timeout=40)
    finally:
        consuming.kill()
    assert consuming.returncode == 0, output
    assert "Unclosed" not in output
    assert "Traceback" not in output


def test_its_manifest_is_right(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "iothub", "check", "-f", "hot.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("iothub ")])
def test_its_commands_exist(command: str) -> None:
    reference = (ROOT / "docs" / "cli.md").read_text("utf-8")
    name, *arguments = shlex.split(command)[1:]
    (section,) = re.findall(rf"^## `iothub {name}`\n(.*?)(?=^## |\Z)", reference, re.DOTALL | re.MULTILINE)
    for option in (argument for argument in arguments if argument.startswith("-")):
        assert re.search(rf"[`, ]{option}[`, ]", section), f"{option} is no option of iothub {name}"


@pytest.mark.parametrize("command", [line for line in COMMANDS if "python -m consumers" in line])
def test_the_variables_of_its_worker_are_some(command: str, folder: Path) -> None:
    """Loaded as written, it gets as far as Kafka: it waits there for a broker that is not."""
    page = (ROOT / "docs" / "workers.md").read_text("utf-8")
    variables = [word.partition("=")[0] for word in shlex.split(command) if "=" in word]
    assert len(variables) >= 5
    for variable in variables:
        assert f"| `{variable}` |" in page


def process_group(process: OurProcess) -> str:
    def find() -> str | None:
        events = [json.loads(line) for line in process.log.splitlines()]
        return next((event["group"] for event in events if event["event"] == "consuming"), None)

    group = wait_until(find, what="its group", hint=lambda: process.log)
    assert group is not None
    return group
