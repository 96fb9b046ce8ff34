"""The chart's HTTP half: what its process is told, who may send, and that it gets no key to read."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from ingestion.api_keys import parse_api_keys
from ingestion.http_settings import HttpSettings
from ingestion.settings import IngestionSettings
from producers.config import ProducerConfig
from telemetry.settings import load_settings
from unit.charts.render import NAMESPACE, Rendered, render

if TYPE_CHECKING:
    from unit.conftest import SetVariables

OWNER = "Deployment/hub-ingestion-http"
NAME = "hub-ingestion-http"


def read_secret(rendered: Rendered, name: str, key: str) -> bytes:
    return base64.b64decode(rendered.get("Secret", name)["data"][key])


def test_its_settings_are_understood(environment: SetVariables) -> None:
    environment(render("ingestion.http.maxItems=20", "ingestion.http.ackTimeoutSeconds=3").pod(OWNER).environment)
    http, ingestion = load_settings(HttpSettings), load_settings(IngestionSettings)
    kafka = load_settings(ProducerConfig)
    assert (http.http_port, http.max_items, http.ack_timeout_seconds) == (8000, 20, 3)
    assert (http.max_body_bytes, http.max_buffered_bytes) == (10 * 1024 * 1024, 32 * 1024 * 1024)
    assert (ingestion.topic, ingestion.dlq_topic) == ("telemetry.raw", "telemetry.dlq")
    assert (kafka.bootstrap_servers, kafka.queue_max_kbytes) == (f"hub-kafka.{NAMESPACE}.svc:9092", 65_536)
    assert os.environ["HTTP_PORT"] == "8081"


@pytest.mark.parametrize(
    ("value", "field", "meant"),
    [
        ("maxRequests=7", "max_requests", 7),
        ("maxRequestsPerKey=7", "max_requests_per_key", 7),
        ("maxConnections=70", "max_connections", 70),
        ("maxHeaderBytes=2048", "max_header_bytes", 2048),
        ("bodyTimeoutSeconds=7", "body_timeout_seconds", 7),
        ("keepaliveSeconds=7", "keepalive_seconds", 7),
        ("retryAfterSeconds=7", "retry_after_seconds", 7),
    ],
)
def test_each_value_arrives(environment: SetVariables, value: str, field: str, meant: object) -> None:
    environment(render(f"ingestion.http.{value}").pod(OWNER).environment)
    assert getattr(load_settings(HttpSettings), field) == meant


def test_by_default_the_process_has_its_own_defaults(environment: SetVariables) -> None:
    environment(render().pod(OWNER).environment)
    given = load_settings(HttpSettings)
    ours = {"max_buffered_bytes", "api_keys_file"}  # less, so that it fits into its memory; and never open
    changed = {name for name, field in HttpSettings.model_fields.items() if getattr(given, name) != field.default}
    assert changed == ours


def test_every_variable_is_one_that_it_knows() -> None:
    known = {"HTTP_PORT", "LOG_LEVEL", "LOG_FORMAT"}
    for prefix, model in (
        ("INGESTION_", HttpSettings),
        ("INGESTION_", IngestionSettings),
        ("KAFKA_", ProducerConfig),
    ):
        known |= {f"{prefix}{field}".upper() for field in model.model_fields}
    assert set(render().pod(OWNER).environment) <= known


def test_devices_find_it_by_the_name_that_the_docs_give() -> None:
    ports = {port["name"]: port["port"] for port in render().get("Service", NAME)["spec"]["ports"]}
    assert ports == {"http": 8000, "health": 8081}


def test_health_and_metrics_are_not_shown_to_the_world() -> None:
    service = render("ingestion.http.service.type=LoadBalancer").get("Service", NAME)["spec"]
    assert (service["type"], [port["name"] for port in service["ports"]]) == ("LoadBalancer", ["http"])


def test_its_port_on_the_nodes_can_be_chosen() -> None:
    service = render("ingestion.http.service.type=NodePort", "ingestion.http.service.nodePort=30080").get(
        "Service", NAME
    )
    assert service["spec"]["ports"] == [{"name": "http", "port": 8000, "targetPort": "http", "nodePort": 30080}]


def test_its_memory_holds_what_it_may_hold() -> None:
    pod = render().pod(OWNER)
    limit = int(pod.spec["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
    held = int(pod.environment["INGESTION_MAX_BUFFERED_BYTES"]) // 2**20
    held += int(pod.environment["KAFKA_QUEUE_MAX_KBYTES"]) // 2**10
    connections = int(pod.environment["INGESTION_MAX_CONNECTIONS"]) * 5 // 1024
    assert 70 + 2 * held + connections <= limit


def test_it_has_the_time_to_answer_what_has_come() -> None:
    pod = render().pod(OWNER)
    before = int(pod.spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert (
        before + float(pod.environment["INGESTION_ACK_TIMEOUT_SECONDS"]) + 5 < pod.spec["terminationGracePeriodSeconds"]
    )


class TestKeys:
    def test_one_is_generated_and_the_service_gets_its_hash(self) -> None:
        rendered = render()
        key = read_secret(rendered, f"{NAME}-api-key", "key")
        assert len(key) >= 40
        found = parse_api_keys(read_secret(rendered, f"{NAME}-keys", "keys.json")).find(key)
        assert found is not None
        assert found.devices is None
        # And no pod has the other Secret
        assert all(f"{NAME}-api-key" not in repr(pod.spec) for pod in rendered.pods())

    def test_the_file_is_where_the_process_looks(self) -> None:
        pod = render().pod(OWNER)
        mounts = {mount["name"]: mount for mount in pod.spec["containers"][0]["volumeMounts"]}
        assert pod.environment["INGESTION_API_KEYS_FILE"] == mounts["api-keys"]["mountPath"] + "/keys.json"
        # A file that is mounted by itself is never brought up to date.
        assert "subPath" not in mounts["api-keys"]
        assert {"name": "api-keys", "secret": {"secretName": f"{NAME}-keys"}} in pod.spec["volumes"]

    def test_a_given_one_is_taken(self) -> None:
        rendered = render("ingestion.http.apiKey=mine")
        assert read_secret(rendered, f"{NAME}-api-key", "key") == b"mine"
        assert parse_api_keys(read_secret(rendered, f"{NAME}-keys", "keys.json")).find(b"mine") is not None

    def test_given_hashes_take_its_place(self) -> None:
        settings = [
            "ingestion.http.apiKeys[0].name=gateway",
            f"ingestion.http.apiKeys[0].sha256={hashlib.sha256(b'theirs').hexdigest()}",
            "ingestion.http.apiKeys[0].devices={DEV-01,DEV-02}",
        ]
        rendered = render(*settings)
        found = parse_api_keys(read_secret(rendered, f"{NAME}-keys", "keys.json")).find(b"theirs")
        assert found is not None
        assert found.devices == frozenset({"DEV-01", "DEV-02"})
        assert f"{NAME}-api-key" not in {item["metadata"]["name"] for item in rendered.all("Secret")}

    def test_a_secret_of_ones_own_is_mounted(self) -> None:
        rendered = render("ingestion.http.existingSecret=own")
        assert {"name": "api-keys", "secret": {"secretName": "own"}} in rendered.pod(OWNER).spec["volumes"]
        assert not [item for item in rendered.all("Secret") if NAME in item["metadata"]["name"]]

    def test_it_can_be_open_to_anyone(self) -> None:
        rendered = render("ingestion.http.allowAnonymous=true")
        assert "INGESTION_API_KEYS_FILE" not in rendered.pod(OWNER).environment
        assert not [item for item in rendered.all("Secret") if NAME in item["metadata"]["name"]]


def test_it_can_be_left_out() -> None:
    rendered = render("ingestion.http.enabled=false")
    assert not [item for item in rendered.objects if NAME in item["metadata"]["name"]]
    assert rendered.get("StatefulSet", "hub-ingestion-mqtt")
