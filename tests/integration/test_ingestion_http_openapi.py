"""The OpenAPI document and the service agree: schemathesis asks what the one allows, and checks the other's answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from ingestion.http_settings import HttpSettings
from ingestion.openapi import build_openapi
from ingestion.problems import STATUSES
from integration_helpers import OurProcess
from support.kafka_broker import KafkaBroker
from support.ports import free_port
from support.waiting import wait_until

KEY = "the key of the tests"
# What is inside a message is the validator's matter, so a wrong one is accepted here: no check of negative data.
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]


@pytest.fixture(scope="module")
def service(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service's address."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    keys, port = folder / "keys.json", free_port()
    keys.write_text(json.dumps({"keys": [{"name": "tests", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]}))
    kafka.create_topics(["openapi", "openapi.dlq"], partitions=1)
    process = OurProcess(
        ["ingestion.http"],
        {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "INGESTION_TOPIC": "openapi",
            "INGESTION_DLQ_TOPIC": "openapi.dlq",
            "INGESTION_HTTP_PORT": str(port),
            "INGESTION_API_KEYS_FILE": str(keys),
        },
        folder / "process.log",
    )
    wait_until(lambda: '"event":"listening"' in process.log, hint=lambda: process.log)
    yield f"http://127.0.0.1:{port}"
    assert '"request failed"' not in process.log
    assert process.terminate() == 0


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator,unused-ignore]
def write_lines(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


DOCUMENT = json.loads(build_openapi(HttpSettings(), needs_key=True))
schema = schemathesis.openapi.from_dict(DOCUMENT)


@schema.parametrize()
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_answers_as_the_document_says(case: Any, service: str) -> None:
    case.call_and_validate(base_url=service, headers={"Authorization": f"Bearer {KEY}"}, checks=CHECKS)


def test_the_document_is_served_to_anyone_and_names_every_answer(service: str) -> None:
    with urlopen(f"{service}/openapi.json", timeout=5) as answer:
        assert json.load(answer) == DOCUMENT
    for path in ("/v1/telemetry", "/v1/devices/{device}/telemetry"):
        named = {int(status) for status in DOCUMENT["paths"][path]["post"]["responses"]}
        assert named == STATUSES - {200, 404, 405}
