"""Workers as processes, driven by the environment contract: what a pod does, without the pod."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable

import pytest

from integration_helpers import READING, OurProcess, committed, count_messages, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until

Start = Callable[..., OurProcess]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def reading(number: int) -> bytes:
    return READING.replace(b"20.5", b"%d" % number)


@pytest.fixture
def topics(kafka: KafkaBroker, unique: Callable[[str], str]) -> dict[str, str]:
    names = {"raw": unique("raw"), "clean": unique("clean"), "dlq": unique("x") + ".dlq"}
    kafka.create_topics(names.values(), partitions=3)
    return names


@pytest.fixture
def validator(kafka: KafkaBroker, topics: dict[str, str], unique: Callable[[str], str]) -> dict[str, str]:
    """The environment of a validator."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_GROUP_ID": unique("validator"),
        "CONSUMER_TOPICS": topics["raw"],
        "CONSUMER_HANDLER": "validator",
        "CONSUMER_DECODE_JSON": "false",
        "CONSUMER_OUTPUT_TOPIC": topics["clean"],
        "CONSUMER_DLQ_TOPIC": topics["dlq"],
        "CONSUMER_BATCH_MAX_SIZE": "50",
        "CONSUMER_TIMEOUT_SECONDS": "0.2",
    }


def test_the_validator_sorts_raw_into_clean_and_dead(
    kafka: KafkaBroker, topics: dict[str, str], validator: dict[str, str], start_process: Start
) -> None:
    grows = READING[:-1] + b',"x":[' + b"1e15," * 200_000 + b"0]}"
    damaged = {
        grows: "too_large",
        b'{"schema_version":1': "not_json",
        b'{"schema_version":2}': "unsupported_schema_version",
    }
    send(kafka, topics["raw"], [*damaged, READING])
    process = start_process("consumers", **validator)

    wait_until(lambda: len(read_topic(kafka, topics["dlq"])) == 3, hint=lambda: process.log)
    wait_until(lambda: len(read_topic(kafka, topics["clean"])) == 1, hint=lambda: process.log)
    assert get(process.port, "/readyz")[0] == 200
    assert get(process.port, "/healthz")[0] == 200
    metrics = get(process.port, "/metrics")[1]
    assert f'iothub_consumer_messages_total{{outcome="dead_lettered",topic="{topics["raw"]}"}} 3.0' in metrics
    assert 'iothub_consumer_dead_letters_total{reason="not_json"} 1.0' in metrics
    assert process.terminate() == 0

    (clean,) = read_topic(kafka, topics["clean"])
    assert clean.key() == b"DEV-01"
    assert json.loads(clean.value() or b"") == {
        "schema_version": 1,
        "device": "DEV-01",
        "metrics": {"temperature": 20.5},
        "ts": "2026-02-20T22:45:00Z",
    }
    assert headers_of(clean)["id"] == "3"
    assert headers_of(clean)["raw_topic"] == topics["raw"]
    letters = {letter.value(): headers_of(letter) for letter in read_topic(kafka, topics["dlq"])}
    assert {value: headers["dlq.reason"] for value, headers in letters.items()} == damaged
    assert {headers["__connect.errors.stage"] for headers in letters.values()} == {"validate"}
    assert sum(committed(kafka, validator["KAFKA_GROUP_ID"], topics["raw"], 3).values()) == 4


def test_killed_in_the_middle_nothing_is_lost(
    kafka: KafkaBroker, topics: dict[str, str], validator: dict[str, str], start_process: Start
) -> None:
    """Given a stream, when the validator is killed again and again, then each message is clean at least once."""
    total, kills = 40_000, 4
    validator["KAFKA_SESSION_TIMEOUT_MS"] = "6000"
    send(kafka, topics["raw"], [reading(n) for n in range(total)])
    for _ in range(kills):
        before = count_messages(kafka, topics["clean"])
        process = start_process("consumers", **validator)
        wait_until(lambda: count_messages(kafka, topics["clean"]) > before, interval=0.01, hint=lambda: process.log)  # noqa: B023
        process.kill()
    assert count_messages(kafka, topics["clean"]) < total, "it was killed in the middle"
    last = start_process("consumers", **validator)

    def clean() -> Counter[float]:
        return Counter(
            json.loads(m.value() or b"")["metrics"]["temperature"] for m in read_topic(kafka, topics["clean"])
        )

    wait_until(lambda: len(clean()) == total, timeout=60, hint=lambda: last.log)
    assert last.terminate() == 0
    duplicates = sum(clean().values()) - total
    assert duplicates <= kills * 3 * 50, "at most what was in hand: a batch of each partition for each kill"


def test_the_raw_logger_needs_two_variables(
    kafka: KafkaBroker, start_process: Start, unique: Callable[[str], str]
) -> None:
    if "telemetry.raw" not in kafka.admin.list_topics(timeout=10).topics:
        kafka.create_topics(["telemetry.raw"])
    group = unique("telemetry-raw-logger")
    process = start_process(
        "consumers.telemetry_raw_logger", KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers, KAFKA_GROUP_ID=group
    )
    send(kafka, "telemetry.raw", [READING, b"\xffdamaged"])
    wait_until(lambda: process.log.count("readings") >= 1 and "damaged" in process.log, hint=lambda: process.log)
    events = [json.loads(line) for line in process.log.splitlines()]
    batches = [event for event in events if event["event"] == "readings"]
    assert sum(event["size"] for event in batches) == 2
    assert READING.decode() in [text for event in batches for text in event["first"]]
    assert process.terminate() == 0


def test_a_handler_of_ones_own_from_a_file(
    kafka: KafkaBroker, topics: dict[str, str], start_process: Start, tmp_path: object, unique: Callable[[str], str]
) -> None:
    file = f"{tmp_path}/alarm.py"
    with open(file, "w", encoding="utf-8") as code:
        code.write(
            "from consumers import Outgoing\n"
            "class Alarm:\n"
            "    def __init__(self, limit):\n"
            "        self.limit = limit\n"
            "    def handle(self, payload):\n"
            "        if payload['metrics']['temperature'] > self.limit:\n"
            "            return Outgoing(value={'hot': payload['device']}, key=payload['device'])\n"
        )
    send(kafka, topics["raw"], [reading(10), reading(40)])
    process = start_process(
        "consumers",
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        KAFKA_GROUP_ID=unique("alarm"),
        CONSUMER_TOPICS=topics["raw"],
        CONSUMER_HANDLER="Alarm",
        CONSUMER_HANDLER_FILE=file,
        CONSUMER_HANDLER_OPTIONS='{"limit": 30}',
        CONSUMER_BATCH="false",
        CONSUMER_OUTPUT_TOPIC=topics["clean"],
    )
    wait_until(lambda: len(read_topic(kafka, topics["clean"])) == 1, hint=lambda: process.log)
    assert read_topic(kafka, topics["clean"])[0].value() == b'{"hot":"DEV-01"}'


@pytest.mark.parametrize(
    ("changed", "code", "reason", "sentence"),
    [
        ({}, 0, None, None),
        ({"CONSUMER_HANDLER": "nowhere.handlers:X"}, 78, "HandlerNotFound", "no module 'nowhere'"),
        ({"CONSUMER_HANDLER": "consumers.handlers:X"}, 78, "HandlerNotFound", "has no class 'X'"),
        ({"CONSUMER_HANDLER": "logging"}, 78, "HandlerNotFound", "neither a built-in handler"),
        ({"CONSUMER_HANDLER_OPTIONS": '{"x": 1}'}, 78, "HandlerFailed", "TelemetryValidator() takes no arguments"),
        ({"CONSUMER_HANDLER_OPTIONS": "{"}, 78, "ConfigurationInvalid", "CONSUMER_HANDLER_OPTIONS"),
        ({"CONSUMER_TOPICS": "not.there"}, 75, "TopicNotFound", "topic 'not.there' is not in Kafka"),
        ({"CONSUMER_TOPICS": ""}, 78, "ConfigurationInvalid", "CONSUMER_TOPICS: is required"),
        ({"CONSUMER_BATCH_MAX_SIZE": "0"}, 78, "ConfigurationInvalid", "CONSUMER_BATCH_MAX_SIZE"),
        ({"KAFKA_PROPERTIES": '{"sesion.timeout.ms": 1}'}, 78, "ConfigurationInvalid", "sesion.timeout.ms"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, 78, "ConfigurationInvalid", "KAFKA_SASL_MECHANISM"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 75, "KafkaUnavailable", "no Kafka answers at 127.0.0.1:1"),
    ],
)
def test_preflight_says_what_is_wrong(
    validator: dict[str, str],
    start_process: Start,
    changed: dict[str, str],
    code: int,
    reason: str | None,
    sentence: str | None,
) -> None:
    process = start_process("consumers", "--preflight", **validator | changed)
    assert process.wait() == code, process.log
    assert "Traceback" not in process.log
    last = json.loads(process.log.splitlines()[-1])
    if reason is not None:
        assert last["reason"] == reason
        assert sentence in last["problem"]


def test_preflight_commits_where_a_new_group_begins(
    kafka: KafkaBroker, topics: dict[str, str], validator: dict[str, str], start_process: Start
) -> None:
    group = validator["KAFKA_GROUP_ID"]
    send(kafka, topics["raw"], [b"1", b"2", b"3"], partition=1)
    assert start_process("consumers", "--preflight", **validator | {"CONSUMER_START_FROM": "latest"}).wait() == 0
    assert committed(kafka, group, topics["raw"], 3) == {0: 0, 1: 3, 2: 0}
    # A group that has its place keeps it.
    assert start_process("consumers", "--preflight", **validator).wait() == 0
    assert committed(kafka, group, topics["raw"], 3) == {0: 0, 1: 3, 2: 0}
    at = {"KAFKA_GROUP_ID": f"{group}-2", "CONSUMER_START_FROM": "2020-01-01T00:00:00Z"}
    assert start_process("consumers", "--preflight", **validator | at).wait() == 0
    assert committed(kafka, f"{group}-2", topics["raw"], 3) == {0: 0, 1: 0, 2: 0}
