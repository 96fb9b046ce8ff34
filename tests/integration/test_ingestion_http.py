"""HTTP ingestion as a process in front of a real Kafka: what was answered 202 is there, whatever dies."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from integration_helpers import READING, OurProcess, headers_of, read_topic
from support.kafka_broker import KafkaBroker
from support.plugin import KafkaFactory
from support.ports import free_port
from support.waiting import wait_until

Start = Callable[..., OurProcess]
BATCH = 20


@pytest.fixture
def topics(kafka: KafkaBroker, unique: Callable[[str], str]) -> dict[str, str]:
    names = {"raw": unique("raw"), "dlq": unique("x") + ".dlq"}
    kafka.create_topics(names.values(), partitions=3)
    return names


class Service:
    """``python -m ingestion.http`` on a port that it keeps over restarts."""

    def __init__(self, start: Start, kafka: KafkaBroker, topics: dict[str, str], **environment: str) -> None:
        self.port = free_port()
        self._start = start
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "INGESTION_TOPIC": topics["raw"],
            "INGESTION_DLQ_TOPIC": topics["dlq"],
            "INGESTION_HTTP_PORT": str(self.port),
            **environment,
        }
        self.start()

    def start(self) -> None:
        self.process = self._start("ingestion.http", **self._environment)
        wait_until(self.is_ready, hint=lambda: self.process.log)

    def is_ready(self) -> bool:
        assert self.process.returncode is None, self.process.log
        return '"ok":true' in self.probe("readyz")

    def probe(self, path: str) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{self.process.port}/{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError as error:
            return str(error)

    def post(
        self, body: bytes | str, path: str = "/v1/telemetry", *, timeout: float = 30, **headers: str
    ) -> tuple[int, dict[str, str], dict[str, object]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            given = {"Content-Type": "application/json"} | {n.replace("_", "-"): v for n, v in headers.items()}
            connection.request("POST", path, body, given)
            answer = connection.getresponse()
            return answer.status, {n.lower(): v for n, v in answer.getheaders()}, json.loads(answer.read())
        finally:
            connection.close()


class Senders:
    """Devices on connections of their own that send batches and note by their ids which were answered 202."""

    def __init__(self, port: int, number: int = 8) -> None:
        self.accepted: set[str] = set()
        self.statuses: list[int] = []
        self.without_answer = 0
        """Requests that had gone out whole and were not answered."""
        self._numbers = count()
        self._port = port
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(number)]
        for thread in self._threads:
            thread.start()

    def _run(self, device: int) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._over.is_set():
            key = f"{device}-{next(self._numbers)}"
            body = json.dumps([{"device": f"D{device}", "n": f"{key}#{place}"} for place in range(BATCH)])
            has_gone = False
            try:
                connection.request(
                    "POST", "/v1/telemetry", body, {"Content-Type": "application/json", "Idempotency-Key": key}
                )
                has_gone = True
                status = connection.getresponse()
                text = status.read()
            except (HTTPException, OSError):
                connection.close()
                with self._lock:
                    self.without_answer += has_gone
                time.sleep(0.05)
                continue
            with self._lock:
                self.statuses.append(status.status)
                if status.status == 202:
                    assert json.loads(text) == {"accepted": BATCH}
                    self.accepted |= {f"{key}#{place}" for place in range(BATCH)}
        connection.close()

    def wait_for(self, more: int) -> None:
        """Wait until ``more`` requests have been answered 202 from now on."""
        wanted = self.statuses.count(202) + more
        wait_until(lambda: self.statuses.count(202) >= wanted, timeout=60, what=f"{more} requests to be accepted")

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def send_from() -> Iterator[Callable[[int], Senders]]:
    started: list[Senders] = []

    def start(port: int) -> Senders:
        started.append(Senders(port))
        return started[-1]

    yield start
    for senders in started:
        senders.stop()


def ids(kafka: KafkaBroker, topic: str) -> list[str]:
    return [headers_of(message)["id"] for message in read_topic(kafka, topic)]


def test_a_message_is_in_kafka_before_its_answer_is_out(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start
) -> None:
    service = Service(start_process, kafka, topics)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    status, _, answer = service.post(
        b" " + READING + b"\n", "/v1/devices/DEV-01/telemetry", Idempotency_Key="abc", traceparent=trace
    )
    (message,) = read_topic(kafka, topics["raw"])
    assert (status, answer) == (202, {"accepted": 1})
    assert (message.key(), message.value()) == (b"DEV-01", b" " + READING + b"\n")
    headers = headers_of(message)
    assert headers.pop("received_at").endswith("Z")
    assert headers == {
        "id": "abc",
        "source": "http",
        "content_type": "application/json",
        "device": "DEV-01",
        "traceparent": trace,
    }
    assert service.process.terminate() == 0


def test_a_devices_batch_stays_in_order(kafka: KafkaBroker, topics: dict[str, str], start_process: Start) -> None:
    service = Service(start_process, kafka, topics)
    body = "\n".join(json.dumps({"device": "DEV-01", "n": number}) for number in range(5000))
    assert service.post(body, Content_Type="application/x-ndjson")[2] == {"accepted": 5000}
    found = [json.loads(message.value() or b"")["n"] for message in read_topic(kafka, topics["raw"])]
    assert found == list(range(5000))


def test_what_is_too_large_for_the_raw_topic_goes_to_the_dead_letters(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start
) -> None:
    service = Service(start_process, kafka, topics)
    large = b'"' + b"x" * 9_000_000 + b'"'
    assert service.post(b"[1," + large + b",2]")[2] == {"accepted": 3}
    (letter,) = read_topic(kafka, topics["dlq"])
    assert letter.value() == large
    assert headers_of(letter)["dlq.reason"] == "too_large"
    assert {message.value() for message in read_topic(kafka, topics["raw"])} == {b"1", b"2"}
    assert service.post(b"x" * 11_000_000)[0] == 413
    metrics = service.probe("metrics")
    assert 'iothub_ingestion_messages_total{outcome="too_large",source="http"} 1.0' in metrics
    assert 'iothub_ingestion_messages_total{outcome="accepted",source="http"} 2.0' in metrics
    assert 'iothub_ingestion_http_responses_total{status="413"} 1.0' in metrics


def test_killed_under_load_nothing_that_was_accepted_is_lost(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start, send_from: Callable[[int], Senders]
) -> None:
    service = Service(start_process, kafka, topics)
    senders = send_from(service.port)
    for _ in range(4):
        senders.wait_for(40)
        service.process.kill()
        service.start()
    senders.wait_for(40)
    senders.stop()
    found = ids(kafka, topics["raw"])
    assert senders.accepted <= set(found)
    assert len(senders.accepted) >= 200 * BATCH
    assert senders.without_answer > 0, "no kill has met a request at work"


def test_told_to_end_under_load_it_answers_everything_that_has_come(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start, send_from: Callable[[int], Senders]
) -> None:
    service = Service(start_process, kafka, topics)
    senders = send_from(service.port)
    for _ in range(3):
        senders.wait_for(40)
        assert service.process.terminate() == 0
        assert '"event":"leaving"' in service.process.log
        assert '"cut_off":0,' in service.process.log
        service.start()
    senders.stop()
    assert set(senders.statuses) == {202}
    assert senders.accepted <= set(ids(kafka, topics["raw"]))


def test_told_to_end_while_kafka_is_away_it_answers_and_is_gone_in_time(
    kafka_factory: KafkaFactory, topics: dict[str, str], start_process: Start
) -> None:
    kafka = kafka_factory()
    kafka.create_topics(topics.values(), partitions=3)
    service = Service(start_process, kafka, topics, INGESTION_ACK_TIMEOUT_SECONDS="5")
    assert service.post(READING)[0] == 202
    kafka.pause()
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(service.post(READING)[0]), daemon=True)
    waiting.start()
    wait_until(lambda: 'in_flight{source="http"} 1.0' in service.probe("metrics"), what="a request that waits")
    service.process.ask_to_end()
    assert service.process.wait(5 + 5 + 3) == 0  # for Kafka, beyond that, and to end
    waiting.join(5)
    assert answers == [503]
    assert '"cut_off":0,' in service.process.log
    kafka.resume()


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_while_kafka_is_away_devices_are_told_to_wait_and_then_it_goes_on(
    how: str,
    kafka_factory: KafkaFactory,
    topics: dict[str, str],
    start_process: Start,
    send_from: Callable[[int], Senders],
) -> None:
    kafka = kafka_factory()
    kafka.create_topics(topics.values(), partitions=3)
    service = Service(
        start_process, kafka, topics, INGESTION_ACK_TIMEOUT_SECONDS="2", INGESTION_RETRY_AFTER_SECONDS="3"
    )
    senders = send_from(service.port)
    senders.wait_for(40)
    (kafka.pause if how == "frozen" else kafka.kill)()
    before = len(senders.statuses)
    wait_until(lambda: senders.statuses[before:].count(503) >= 24, what="answers that tell devices to wait")
    status, headers, answer = service.post(READING)
    assert (status, headers["retry-after"]) == (503, "3")
    assert answer["accepted"] == 0
    # What was answered 503 is given up, so nothing piles up.
    queue = [line for line in service.probe("metrics").splitlines() if line.startswith("iothub_producer_queue ")]
    assert float(queue[0].split()[1]) <= 3 * 8 * BATCH
    (kafka.resume if how == "frozen" else kafka.start)()
    senders.wait_for(40)
    senders.stop()
    assert set(senders.statuses) == {202, 503}
    assert senders.accepted <= set(ids(kafka, topics["raw"]))
    assert service.process.terminate() == 0


def test_a_dead_kafka_costs_no_more_memory_than_was_given(
    kafka_factory: KafkaFactory, topics: dict[str, str], start_process: Start
) -> None:
    kafka = kafka_factory()
    kafka.create_topics(topics.values(), partitions=3)
    service = Service(
        start_process,
        kafka,
        topics,
        INGESTION_ACK_TIMEOUT_SECONDS="60",
        INGESTION_MAX_BUFFERED_BYTES="11000000",
        KAFKA_QUEUE_MAX_KBYTES="30720",
    )
    body = b"[" + b",".join([b'"' + b"x" * 500_000 + b'"'] * 10) + b"]"
    assert service.post(body)[0] == 202
    process = psutil.Process(service.process._process.pid)
    before = process.memory_info().rss
    kafka.pause()
    answers: list[int] = []

    def flood() -> None:
        for _ in range(3):
            answers.append(service.post(body, timeout=100)[0])

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(12)]
    for thread in threads:
        thread.start()
    wait_until(lambda: answers.count(503) >= 10, what="the queue to be full")
    highest = process.memory_info().rss
    kafka.resume()
    for thread in threads:
        thread.join(100)
    # The queue and the bodies, and as much again on the way from one to the other; 180 MB have come.
    assert highest - before < 2.5 * (30 + 11) * 1024 * 1024
    assert service.post(body)[0] == 202


def test_keys_are_read_again_while_it_runs(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"

    def write(key: str) -> None:
        new = tmp_path / "new.json"
        new.write_text(json.dumps({"keys": [{"name": "a", "sha256": hashlib.sha256(key.encode()).hexdigest()}]}))
        new.rename(path)

    write("old")
    service = Service(start_process, kafka, topics, INGESTION_API_KEYS_FILE=str(path))
    assert service.post(READING)[0] == 401
    assert service.post(READING, Authorization="Bearer old")[0] == 202
    write("new")
    wait_until(lambda: service.post(READING, Authorization="Bearer new")[0] == 202, what="the new key to be taken")
    assert service.post(READING, Authorization="Bearer old")[0] == 401
    assert "new" not in service.process.log.split('"listening"')[1]


def test_it_is_not_ready_before_it_has_found_its_topics(
    kafka: KafkaBroker, unique: Callable[[str], str], start_process: Start
) -> None:
    port = free_port()
    process = start_process(
        "ingestion.http",
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        INGESTION_TOPIC=unique("later"),
        INGESTION_DLQ_TOPIC=unique("later") + ".dlq",
        INGESTION_HTTP_PORT=str(port),
    )
    wait_until(lambda: '"not ready"' in process.log, hint=lambda: process.log)
    assert unique("later") in process.log
    kafka.create_topics([unique("later"), unique("later") + ".dlq"], partitions=1)

    def is_ready() -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{process.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_until(is_ready, hint=lambda: process.log)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("INGESTION_HTTP_PORT", "no"),
        ("INGESTION_HTTP_PORT", "taken"),
        ("INGESTION_HTTP_HOST", "no address"),
        ("INGESTION_MAX_BODY_BYTES", "1"),
        ("INGESTION_API_KEYS_FILE", "/does/not/exist"),
        ("INGESTION_TOPIC", "a/b"),
        ("KAFKA_LINGER_MS", "-1"),
    ],
)
def test_what_can_not_work_ends_it_at_once_by_its_name(variable: str, value: str, start_process: Start) -> None:
    with socket.create_server(("", 0)) as taken:
        given = {variable: str(taken.getsockname()[1]) if value == "taken" else value}
        process = start_process("ingestion.http", **{"INGESTION_HTTP_PORT": "0", **given})
        assert process.wait() == 78
    assert f'"problem":"{variable}: ' in process.log
