"""The environment contract: what the operator writes into a pod, the worker's settings read, and mean the same by it.

Operator and workers share no imports, so this is where the two meet.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.config import ConsumerConfig
from consumers.handlers import BUILT_IN, load_handler
from consumers.settings import WorkerSettings
from contract.samples import ROOT, load_examples
from telemetry.names import TOPIC_CLEAN, TOPIC_DLQ
from telemetry.process import ProcessSettings
from telemetry.settings import load_settings as load_worker_settings
from telemetry_operator.objects.deployment import build_deployment, build_worker_defaults
from telemetry_operator.settings import load_settings
from telemetry_operator.spec import (
    DEFAULT_DEAD_LETTER_TOPIC,
    DEFAULT_OUTPUT_TOPICS,
    Consumer,
    KafkaConnection,
    SecretKey,
    parse_consumer,
)

OPERATOR = {
    "OPERATOR_WORKER_IMAGE": "iot-hub/worker:1",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "KAFKA_SECURITY_PROTOCOL": "SSL",
    "KAFKA_GROUP_PROTOCOL": "consumer",
    "KAFKA_PROPERTIES": '{"socket.keepalive.enable": true}',
    "LOG_LEVEL": "WARNING",
}


def parse(document: dict[str, Any]) -> Consumer:
    placed = {"namespace": "plant", "uid": "u", "generation": 1, **document["metadata"]}
    return parse_consumer({**document, "metadata": placed})


def environment_of(consumer: Consumer, container: str = "worker") -> dict[str, str]:
    """The variables of a container, as the kubelet sets them: the pod's name resolved, its escapes undone."""
    pod = build_deployment(consumer, build_worker_defaults(load_settings(OPERATOR)), None)["spec"]["template"]["spec"]
    (found,) = (c for c in pod["containers"] + pod["initContainers"] if c["name"] == container)
    environment = {}
    for variable in found["env"]:
        source = variable.get("valueFrom")
        if source is not None and "fieldRef" in source:
            environment[variable["name"]] = "the-pods-name"
        elif source is not None:
            environment[variable["name"]] = f"{source['secretKeyRef']['key']} of {source['secretKeyRef']['name']}"
        else:
            assert not re.search(r"(?<!\$)(\$\$)*\$\(", variable["value"]), "the kubelet would expand it"
            environment[variable["name"]] = variable["value"].replace("$$", "$")
    return environment


def read_back(environment: dict[str, str]) -> tuple[WorkerSettings, ConsumerConfig, ProcessSettings]:
    with mock.patch.dict(os.environ, environment, clear=True):
        return (
            load_worker_settings(WorkerSettings),
            load_worker_settings(ConsumerConfig),
            load_worker_settings(ProcessSettings),
        )


def check(consumer: Consumer) -> None:
    """Compare each field of the spec with what the worker makes of it."""
    worker, kafka, process = read_back(environment_of(consumer))
    spec = consumer.spec
    assert worker.topics == spec.topics
    assert worker.handler == (spec.handler.name or spec.handler.class_)
    expected_file = f"/etc/iot-hub/handler/{spec.handler.config_map.key}" if spec.handler.config_map else None
    assert worker.handler_file == expected_file
    assert worker.handler_options == spec.handler.options
    assert worker.batch is spec.batch.enabled
    assert worker.batch_max_size == spec.batch.max_size
    assert worker.timeout_seconds == spec.batch.timeout_seconds
    assert worker.decode_json is spec.decode_json
    assert worker.commit == spec.commit
    assert worker.delivery == spec.delivery
    assert worker.handle_limit_seconds == spec.handle_limit_seconds
    if isinstance(worker.start_from, datetime):
        assert worker.start_from == datetime.fromisoformat(spec.start_from)
    else:
        assert worker.start_from == spec.start_from
    assert worker.output_topic == consumer.output_topic
    assert worker.dlq_topic == consumer.dead_letter_topic
    assert worker.max_attempts == spec.max_attempts
    assert kafka.group_id == consumer.group_id
    assert kafka.client_id == "the-pods-name"
    check_connection(consumer, kafka)
    assert (process.http_port, process.log_level, process.log_format) == (8081, "WARNING", "json")


def check_connection(consumer: Consumer, kafka: ConsumerConfig) -> None:
    """Compare the way to Kafka with what the worker makes of it."""
    own = consumer.spec.kafka or KafkaConnection()
    another = own.bootstrap_servers is not None
    assert kafka.bootstrap_servers == (own.bootstrap_servers or "kafka:9092")
    assert kafka.security_protocol == (own.security_protocol or ("PLAINTEXT" if another else "SSL"))
    assert kafka.group_protocol == ("classic" if another else "consumer")
    assert kafka.properties == ({} if another else {"socket.keepalive.enable": True}) | own.properties
    assert kafka.sasl_mechanism == own.sasl_mechanism

    def secret(key: SecretKey) -> str | None:
        return f"{key} of {own.secret_ref.name}" if own.secret_ref and key in own.secret_keys else None

    def file(key: SecretKey) -> str | None:
        return f"/etc/iot-hub/kafka/{key}" if key in own.secret_keys else None

    assert kafka.sasl_username == secret("username")
    assert (kafka.sasl_password.get_secret_value() if kafka.sasl_password else None) == secret("password")
    assert kafka.ssl_ca_location == file("ca.crt")
    assert kafka.ssl_certificate_location == file("tls.crt")
    assert kafka.ssl_key_location == file("tls.key")


@pytest.mark.parametrize("document", load_examples(), ids=lambda document: document["metadata"]["name"])
def test_every_example_means_the_same_on_both_sides(document: dict[str, Any]) -> None:
    check(parse(document))


def test_the_preflight_gets_the_workers_environment() -> None:
    for document in load_examples():
        consumer = parse(document)
        assert environment_of(consumer, "preflight") == environment_of(consumer, "worker")


topic_names = st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True).filter(lambda name: name not in {".", ".."})
identifiers = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
# Text with what escapes are about, and no lone surrogates: no JSON document of the API server holds those.
texts = st.text(st.characters(codec="utf-8") | st.sampled_from("$()\"\\'{}"), max_size=20)
options = st.dictionaries(
    st.from_regex(r"[a-z_]{1,10}_", fullmatch=True),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, lambda inner: st.lists(inner, max_size=3)
    ),
    max_size=4,
)
import_paths = st.builds(lambda parts, cls: f"{'.'.join(parts)}:{cls}", st.lists(identifiers, min_size=1), identifiers)
handlers = st.one_of(
    st.fixed_dictionaries({"name": st.sampled_from(sorted(BUILT_IN))}, optional={"options": options}),
    st.fixed_dictionaries({"class": import_paths}, optional={"options": options}),
    st.fixed_dictionaries(
        {
            "class": identifiers,
            "configMap": st.fixed_dictionaries(
                {"name": st.just("code"), "key": st.from_regex(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,30}\.py", fullmatch=True)}
            ),
        },
        optional={"options": options},
    ),
)
moments = st.datetimes(min_value=datetime(1970, 1, 2)).map(lambda moment: moment.isoformat() + "Z")  # noqa: DTZ001
certificates = [None, ["ca.crt"], ["tls.crt", "tls.key"], ["ca.crt", "tls.crt", "tls.key"]]
servers = st.from_regex(r"[a-z0-9.-]{1,20}:[0-9]{1,5}(,[a-z0-9.-]{1,20}:[0-9]{1,5}){0,2}", fullmatch=True)
# Texts, since that is all that the CRD takes; none of them a number of librdkafka's, which is the worker's matter.
properties = st.dictionaries(st.from_regex(r"x\.[a-z.]{1,12}", fullmatch=True), texts, max_size=3)
protocols = st.one_of(
    st.just({"securityProtocol": "PLAINTEXT"}),
    st.builds(
        lambda keys: {"securityProtocol": "SSL", "secretRef": {"name": "s"} | ({"keys": keys} if keys else {})},
        st.sampled_from(certificates),
    ),
    st.builds(
        lambda protocol, mechanism, keys: {
            "securityProtocol": protocol,
            "saslMechanism": mechanism,
            "secretRef": {"name": "s"} | ({"keys": ["username", "password", *keys]} if keys else {}),
        },
        st.sampled_from(["SASL_PLAINTEXT", "SASL_SSL"]),
        st.sampled_from(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        st.sampled_from(certificates),
    ),
    st.just({}),
)
kafkas = st.builds(
    lambda way, more: way | more,
    protocols,
    st.fixed_dictionaries({}, optional={"bootstrapServers": servers, "properties": properties}),
)
# Together: a transaction is not committed by a timer.
commits = st.sampled_from(
    [{}, {"commit": "auto"}, {"commit": "auto", "delivery": "at-least-once"}, {"delivery": "exactly-once"}]
)
least = st.fixed_dictionaries(
    {"topics": st.lists(topic_names, min_size=1, max_size=32, unique=True), "handler": handlers},
    optional={
        "groupId": st.from_regex(r"[!-~]([ -~]{0,200}[!-~])?", fullmatch=True),
        "replicas": st.integers(0, 1000),
        "batch": st.fixed_dictionaries(
            {},
            optional={
                "enabled": st.booleans(),
                "maxSize": st.integers(1, 10_000),
                "timeoutSeconds": st.floats(0.01, 60) | st.integers(1, 60),
            },
        ),
        "decodeJson": st.booleans(),
        "handleLimitSeconds": st.integers(1, 86_400),
        "startFrom": st.sampled_from(["earliest", "latest"]) | moments,
        "maxAttempts": st.integers(1, 100),
        "deadLetter": st.fixed_dictionaries({"topic": topic_names}) | st.just({"enabled": False}) | st.just({}),
        "output": st.fixed_dictionaries({"topic": topic_names}),
        "paused": st.booleans(),
        "env": st.just([{"name": "OWN", "value": "$(OTHER)"}]),
        "kafka": kafkas,
        "envFrom": st.just([{"configMapRef": {"name": "any"}}]),
    },
)
specs = st.builds(lambda spec, commit: spec | commit, least, commits)


@given(spec=specs)
def test_any_spec_means_the_same_on_both_sides(spec: dict[str, Any]) -> None:
    own = spec.pop("env", None)
    check(parse({"metadata": {"name": "any"}, "spec": spec}))
    if own is not None:
        consumer = parse({"metadata": {"name": "any"}, "spec": {**spec, "env": own}})
        pod = build_deployment(consumer, build_worker_defaults(load_settings(OPERATOR)), None)
        assert own[0] in pod["spec"]["template"]["spec"]["containers"][0]["env"], "a person's $(…) is left to them"


def test_the_built_in_handlers_and_topics_are_the_workers() -> None:
    crd = (ROOT / "crds" / "telemetryconsumer.yaml").read_text()
    listed = re.search(r"self in (\[.*?\])\"\n\s+message: \"the built-in handlers are", crd)
    assert listed is not None
    assert json.loads(listed[1].replace("'", '"')) == sorted(BUILT_IN)
    assert DEFAULT_DEAD_LETTER_TOPIC == TOPIC_DLQ
    assert {"validator": TOPIC_CLEAN} == DEFAULT_OUTPUT_TOPICS


def test_the_own_handler_of_the_examples_loads_and_works(caplog: pytest.LogCaptureFixture) -> None:
    """Given the example's file and options, when the worker loads it, then it warns of a warm device only."""
    folder = ROOT / "examples" / "temperature-alarm"
    (document,) = (d for d in load_examples() if d["metadata"]["name"] == "temperature-alarm")
    worker, _, _ = read_back(environment_of(parse(document)))
    assert worker.handler_file is not None
    mounted = folder / Path(worker.handler_file).name
    handler = load_handler(worker.handler, file=str(mounted), options=worker.handler_options)
    message = {"schema_version": 1, "device": "DEV-01", "metrics": {"temperature": 23.5}, "ts": "2026-02-20T22:45:00Z"}
    cold = {**message, "device": "DEV-02", "metrics": {"temperature": 20, "humidity": 20}}
    handler.handle([message, cold, {**message, "metrics": {"humidity": 40}}])
    assert [record.message for record in caplog.records] == ["DEV-01: temperature is 23.5, above 21.5"]
