"""How a worker reaches Kafka: the operator's own way, or the one that the TelemetryConsumer names.

What is secret is referred to, never read: the kubelet puts user and password into variables, certificates into files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from telemetry_operator import naming
from telemetry_operator.spec import Consumer, KafkaConnection

Manifest = dict[str, Any]

_VARIABLES = {"username": "KAFKA_SASL_USERNAME", "password": "KAFKA_SASL_PASSWORD"}
"""Keys of the Secret that become variables."""
_FILES = {
    "ca.crt": "KAFKA_SSL_CA_LOCATION",
    "tls.crt": "KAFKA_SSL_CERTIFICATE_LOCATION",
    "tls.key": "KAFKA_SSL_KEY_LOCATION",
}
"""Keys of the Secret that become files, and the variables that say where."""


def build_connection(consumer: Consumer, operators: Mapping[str, str]) -> dict[str, str]:
    """Return ``operators``, the variables that the operator hands on, with the way to Kafka that ``consumer`` takes.

    Of another Kafka than the operator's, what holds for the operator's says nothing: only what the TelemetryConsumer
    writes counts. What comes from its Secret is not among them.
    """
    own = consumer.spec.kafka
    if own is None:
        return dict(operators)
    variables = {
        name: value
        for name, value in operators.items()
        if own.bootstrap_servers is None or not name.startswith("KAFKA_")
    }
    properties = json.loads(variables.pop("KAFKA_PROPERTIES", "{}")) | own.properties
    written = {
        "KAFKA_BOOTSTRAP_SERVERS": own.bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": own.security_protocol,
        "KAFKA_SASL_MECHANISM": own.sasl_mechanism,
        "KAFKA_PROPERTIES": json.dumps(properties, sort_keys=True) if properties else None,
        **{_FILES[key]: f"{naming.KAFKA_DIRECTORY}/{key}" for key in _file_keys(own)},
    }
    return variables | {name: value for name, value in written.items() if value is not None}


def build_secret_variables(consumer: Consumer) -> list[Manifest]:
    """Return the variables that the kubelet fills from the Secret."""
    own = consumer.spec.kafka
    if own is None or own.secret_ref is None:
        return []
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": own.secret_ref.name, "key": key}}}
        for key, variable in _VARIABLES.items()
        if key in own.secret_keys
    ]


def build_secret_volumes(consumer: Consumer) -> list[Manifest]:
    """Return the volume with the Secret's certificates, where it is said to have any."""
    own = consumer.spec.kafka
    if own is None or own.secret_ref is None or not _file_keys(own):
        return []
    items = [{"key": key, "path": key} for key in _file_keys(own)]
    # Optional, since a pod whose volume can't be mounted says nothing of it in its status. A file that is missing is
    # named by the worker's preflight instead, before an old worker leaves.
    source = {"secretName": own.secret_ref.name, "items": items, "optional": True}
    return [{"name": naming.VOLUME_KAFKA, "secret": source}]


def build_secret_mounts(consumer: Consumer) -> list[Manifest]:
    """Return where a container has that volume."""
    return [
        {"name": volume["name"], "mountPath": naming.KAFKA_DIRECTORY, "readOnly": True}
        for volume in build_secret_volumes(consumer)
    ]


def _file_keys(own: KafkaConnection) -> list[str]:
    return [key for key in _FILES if key in own.secret_keys]
