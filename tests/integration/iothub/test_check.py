"""``iothub check --handler-sample``: handlers on real messages of a real Kafka, which notices nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.samples import ROOT
from integration_helpers import READING, Running, committed, count_messages, headers_of, read_topic, send
from support.kafka_broker import KafkaBroker
from support.waiting import wait_until
from unit.iothub.command import iothub
from unit.iothub.manifests.files import HEAD

HANDLER = """\
from consumers import Outgoing, Reject, RetryLater

class Picky:
    def __init__(self, slow=False):
        self.ready = False

    def setup(self):
        self.ready = True

    def handle(self, batch):
        assert self.ready
        for index, message in enumerate(batch):
            kind = message.get("kind")
            if kind == "reject":
                yield Reject("too_warm", "above 30", index)
            elif kind == "fail":
                raise KeyError("sensor")
            elif kind == "later":
                raise RetryLater("the database is away")
            else:
                yield Outgoing(None, message, key=message["device"])

class Hangs:
    def handle(self, batch):
        import time
        time.sleep(600)

class Unready:
    def setup(self):
        raise ConnectionError("no database here")
    def handle(self, batch): pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "h.py").write_text(HANDLER)
    return tmp_path


def manifest(cls: str, topics: list[str], group: str, more: str = "") -> str:
    return (
        f"{HEAD}spec:\n  topics: {json.dumps(topics)}\n  groupId: {group}\n"
        f"  handler: {{class: {cls}, configMap: {{name: c, key: h.py}}}}\n{more}"
    )


def message(kind: str) -> bytes:
    return json.dumps({"kind": kind, "device": "DEV-01"}).encode()


def test_it_tells_what_a_worker_would_do_and_does_none_of_it(
    kafka: KafkaBroker, topic: str, dlq: str, folder: Path, unique: Callable[[str], str]
) -> None:
    """Given good and bad messages, when a handler is tried on the last of them, then nothing in Kafka has changed."""
    (out,) = kafka.create_topics([unique("out")], partitions=1)
    group = unique("group")
    send(kafka, topic, [message("old")] * 3, partition=1)
    values = [message("good"), b"{", message("reject"), message("fail"), message("good"), message("later")]
    send(kafka, topic, values, partition=0)
    more = f"  maxAttempts: 2\n  output: {{topic: {out}}}\n  deadLetter: {{topic: {dlq}}}\n"
    (folder / "a.yaml").write_text(manifest("Picky", [topic], group, more))

    asked = ("check", "-f", "a.yaml", "--bootstrap-servers", kafka.bootstrap_servers, "--handler-sample", "6")
    done = iothub(*asked, folder=folder)

    lines = done.stdout.splitlines()
    assert lines[0] == "a: 6 messages, nothing committed, nothing produced"
    assert lines[1].split() == ["handled", "2"]
    assert lines[2].split() == ["would", "be", "produced", "2", "(2", "to", f"{out})"]
    assert lines[3] == f'    {out} ← DEV-01: {{"kind":"good","device":"DEV-01"}}'
    assert lines[5].split() == ["dead", "letters", "3", "(to", f"{dlq})"]
    letters = {line.split(": ")[0].strip(): line.split(": ", 1)[1] for line in lines[6:9]}
    assert letters[f"{topic}[0] offset 1"].startswith("not_json (decode): ")
    assert letters[f"{topic}[0] offset 2"] == "too_warm (handle): above 30"
    assert letters[f"{topic}[0] offset 3"] == "handler_failed (handle, 2 attempts): KeyError: 'sensor' (h.py, line 17)"
    assert lines[9].split() == ["would", "be", "retried", "1"]
    assert lines[10] == f"    {topic}[0] offset 5: the database is away"
    assert lines[-1] == "handlers fail on 1 message"
    assert done.returncode == 1
    assert (count_messages(kafka, dlq), count_messages(kafka, out)) == (0, 0)
    assert sum(committed(kafka, group, topic, 3).values()) == 0
    groups = kafka.admin.list_consumer_groups().result().valid
    assert group not in {one.group_id for one in groups}

    report = json.loads(iothub(*asked, "--output", "json", folder=folder).stdout)
    (sample,) = report["samples"]
    assert (sample["name"], sample["messages"], sample["handled"], sample["held_back"]) == ("a", 6, 2, 0)
    assert sample["produced"] == {out: 2}
    assert [letter["place"]["offset"] for letter in sample["dead_letters"]] == [1, 2, 3]


def test_it_agrees_with_a_real_worker(
    kafka: KafkaBroker,
    topic: str,
    dlq: str,
    folder: Path,
    run_consumer: Callable[..., Running],
    unique: Callable[[str], str],
) -> None:
    """Given the same messages, then a consumer dead-letters exactly those that the trial named, for its reasons."""
    values = [READING, b"\xff", READING, b'{"schema_version": 1}', b"[]", READING]
    send(kafka, topic, values)
    (clean,) = kafka.create_topics([unique("clean")], partitions=1)
    spec = (
        f"spec:\n  topics: [{topic}]\n  handler: {{name: validator}}\n  decodeJson: false\n"
        f"  output: {{topic: {clean}}}\n  deadLetter: {{topic: {dlq}}}\n"
    )
    (folder / "a.yaml").write_text(HEAD + spec)
    done = iothub(
        *("check", "-f", "a.yaml", "--bootstrap-servers", kafka.bootstrap_servers),
        *("--handler-sample", "100", "--output", "json"),
        folder=folder,
    )
    (sample,) = json.loads(done.stdout)["samples"]
    assert done.returncode == 0, "what is rejected is no failure of the handler"

    from consumers.telemetry_validator import TelemetryValidator

    run_consumer(
        group=unique("g"),
        topics=[topic],
        handler=TelemetryValidator(),
        decode_json=False,
        consume_batch=True,
        dlq_topic=dlq,
        output_topic=clean,
    )
    wait_until(
        lambda: count_messages(kafka, dlq) == 3 and count_messages(kafka, clean) == 3, what="the worker's outcome"
    )
    letters = [headers_of(letter) for letter in read_topic(kafka, dlq)]
    assert sorted(
        (letter["reason"], letter["message"], letter["stage"]) for letter in sample["dead_letters"]
    ) == sorted(
        (head["dlq.reason"], head["__connect.errors.exception.message"], head["__connect.errors.stage"])
        for head in letters
    )
    assert sample["produced"] == {clean: 3}
    produced = sorted(one.value() or b"" for one in read_topic(kafka, clean))
    assert sorted(one["value"].encode() for one in sample["first_produced"]) == produced


def test_the_last_messages_of_the_first_topics_are_taken(
    kafka: KafkaBroker, topic: str, folder: Path, unique: Callable[[str], str]
) -> None:
    (second,) = kafka.create_topics([unique("second")], partitions=1)
    send(kafka, topic, [message("a")] * 2)
    send(kafka, second, [message("b")] * 5)
    missing = unique("missing")
    (folder / "a.yaml").write_text(
        manifest("Picky", [missing, topic, second], unique("g"), "  output: {topic: out}\n  batch: {maxSize: 2}\n")
    )
    asked = ("check", "-f", "a.yaml", "--bootstrap-servers", kafka.bootstrap_servers, "--handler-sample")
    done = iothub(*asked, "4", folder=folder)
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "a: 4 messages, nothing committed, nothing produced",
    ), done.stderr
    assert f"there is no topic '{missing}'" in done.stderr
    assert done.stdout.splitlines()[-1] == "1 TelemetryConsumer is right"
    assert "2 calls of the handler" in done.stdout


def test_topics_without_messages_are_told(kafka: KafkaBroker, topic: str, folder: Path) -> None:
    (folder / "a.yaml").write_text(manifest("Picky", [topic], "g"))
    done = iothub(
        *("check", "-f", "a.yaml", "--bootstrap-servers", kafka.bootstrap_servers, "--handler-sample", "5"),
        folder=folder,
    )
    assert done.stdout == (
        "a: its topics hold no messages; the handler was set up, and given none\n1 TelemetryConsumer is right\n"
    )


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (
            "Hangs",
            "the handler is not done with the messages after 6 s (it stood in handle, h.py, line 26); it was ended",
        ),
        ("Unready", "setup() failed: ConnectionError: no database here (h.py, line 30)"),
    ],
)
def test_a_handler_that_gets_nowhere_is_told(kafka: KafkaBroker, topic: str, folder: Path, cls: str, told: str) -> None:
    send(kafka, topic, [message("a")])
    (folder / "a.yaml").write_text(manifest(cls, [topic], "g"))
    done = iothub(
        *("check", "-f", "a.yaml", "--bootstrap-servers", kafka.bootstrap_servers),
        *("--handler-sample", "5", "--handler-seconds", "6"),
        folder=folder,
    )
    assert done.stdout == f"a.yaml:7: spec.handler: {told}\n1 error in 1 TelemetryConsumer\n"
    assert done.returncode == 1


def test_the_examples_on_messages_of_their_topics(
    kafka: KafkaBroker, folder: Path, unique: Callable[[str], str]
) -> None:
    raw, clean = kafka.create_topics([unique("raw"), unique("clean")], partitions=1)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for path in (folder / "examples").rglob("*.yaml"):
        path.write_text(path.read_text().replace("telemetry.raw", raw).replace("telemetry.clean", clean))
    send(kafka, raw, [READING, b"damaged"])
    send(kafka, clean, [READING])
    done = iothub(
        *("check", "-f", "examples", "--bootstrap-servers", kafka.bootstrap_servers, "--handler-sample", "50"),
        folder=folder,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "4 TelemetryConsumers are right"
    assert "  dead letters       1 (to telemetry.dlq)" in done.stdout


def test_the_in_memory_kafka_will_do(folder: Path, unique: Callable[[str], str]) -> None:
    from confluent_kafka import Producer

    config = {"bootstrap.servers": "mock", "test.mock.num.brokers": 1}
    producer = Producer(config)
    metadata = producer.list_topics(timeout=10)
    address = ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    producer.produce("mine", message("a"))
    assert producer.flush(10) == 0
    (folder / "a.yaml").write_text(manifest("Picky", ["mine"], "g", "  output: {topic: out}\n"))
    done = iothub("check", "-f", "a.yaml", "--bootstrap-servers", address, "--handler-sample", "5", folder=folder)
    assert done.stdout.splitlines()[0] == "a: 1 message, nothing committed, nothing produced", done.stderr
    assert done.returncode == 0
