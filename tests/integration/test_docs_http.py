"""docs/http.md tells the truth: its examples are typed into a shell, its tables are those of the code."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

import ingestion
from ingestion.http_settings import HttpSettings
from ingestion.problems import STATUSES
from integration_helpers import OurProcess, headers_of, read_topic
from support import require
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until
from telemetry.errors import InvalidTelemetry
from telemetry.schema import parse_telemetry

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (script, answer) for (kind, script), (next_kind, answer) in pairwise(BLOCKS) if (kind, next_kind) == ("sh", "json")
]
KEY = "the-key-that-you-were-given"


@pytest.fixture(scope="module")
def hub(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service's address."""
    folder, port = tmp_path_factory.mktemp("docs-http"), free_port()
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [{"name": "docs", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}))
    kafka.create_topics(["docs-http", "docs-http.dlq"], partitions=1)
    process = OurProcess(
        ["ingestion.http"],
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "INGESTION_TOPIC": "docs-http",
            "INGESTION_DLQ_TOPIC": "docs-http.dlq",
            "INGESTION_HTTP_PORT": str(port),
            "INGESTION_API_KEYS_FILE": str(keys),
        },
        folder / "process.log",
    )
    wait_until(lambda: '"event":"listening"' in process.log, hint=lambda: process.log)
    yield f"http://127.0.0.1:{port}"
    assert process.terminate() == 0


def run(script: str, hub: str) -> str:
    require.command("curl", "install curl")
    typed = f"set -euo pipefail\nHUB={hub}\nKEY={KEY}\n{script}"
    return subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True, timeout=60).stdout


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize(("script", "answer"), EXAMPLES)
def test_an_example_is_answered_as_it_says(script: str, answer: str, hub: str) -> None:
    assert json.loads(run(script, hub)) == json.loads(answer)


def test_what_the_examples_send_is_valid(kafka: KafkaBroker, hub: str) -> None:
    before = len(read_topic(kafka, "docs-http"))
    for script, _ in EXAMPLES:
        run(script, hub)
    sent = read_topic(kafka, "docs-http")[before:]
    assert len(sent) == 6
    for message in sent:
        try:
            parse_telemetry(cast("bytes", message.value()), headers_of(message).get("device"))
        except InvalidTelemetry as error:
            pytest.fail(f"{message.value()!r}: {error}")
    assert {"DEV-01-000017#0", "DEV-01-000017#1"} <= {headers_of(message)["id"] for message in sent}


def test_the_document_is_where_it_says(hub: str) -> None:
    [script] = [script for kind, script in BLOCKS if kind == "sh" and "openapi" in script]
    assert json.loads(run(script, hub))["info"]["title"] == "IoT Hub Telemetry"


def test_the_device_that_loses_nothing_works(kafka: KafkaBroker, hub: str, unique: Callable[[str], str]) -> None:
    [source] = [source for kind, source in BLOCKS if kind == "python"]
    names: dict[str, Any] = {}
    exec(source, names)  # the document's own code
    names["send"](hub, KEY, [{"device": "D"}], unique("name"))
    assert f"{unique('name')}#0" in {headers_of(message)["id"] for message in read_topic(kafka, "docs-http")}
    with pytest.raises(RuntimeError, match="unknown-api-key"):
        names["send"](hub, "another", [], unique("name"))


def test_a_key_is_made_as_it_says() -> None:
    [script] = [script for kind, script in BLOCKS if kind == "sh" and "new_api_key" in script]
    import_path = os.pathsep.join(str(Path(path).parent) for path in ingestion.__path__)
    words = script.split()
    assert words[:3] == ["python", "-m", "ingestion.new_api_key"]
    done = subprocess.run(
        [sys.executable, *words[1:]],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": import_path},
    )
    assert json.loads(done.stdout.partition("entry:")[2])["devices"] == ["DEV-01", "DEV-02"]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = TEXT.partition("| variable |")[2].replace("`INGESTION_TOPIC`, `INGESTION_DLQ_TOPIC`", "")
    found = dict(re.findall(r"^\| `(INGESTION_\w+)` \|\s*([^|]*?)\s*\|", table, re.MULTILINE))
    wanted = {}
    for name, field in HttpSettings.model_fields.items():
        default = field.default
        wanted[f"INGESTION_{name.upper()}"] = "" if default is None else str(default)
    assert found == wanted


def test_every_answer_is_in_the_table() -> None:
    rows = re.findall(r"^\| (\d[\d, ]*) \|([^|]*)\|", TEXT, re.MULTILINE)
    statuses = {int(status) for cell, _ in rows for status in cell.split(", ")}
    assert statuses == STATUSES - {200}
    codes = {code for _, cell in rows for code in re.findall(r"`([\w-]+)`", cell)}
    folder = Path(next(iter(ingestion.__path__)))
    source = "".join(
        (folder / f"{name}.py").read_text()
        for name in ("problems", "http_request", "http_connection", "telemetry_request")
    )
    words = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', source)) | {"overloaded"}
    others = re.compile(
        r"(content|x-api|iot|us|utf|idempotency-key|transfer|http2|www|retry|accept-post|accept-enc|no-store).*"
    )
    assert codes == {word for word in words if not others.fullmatch(word)}
