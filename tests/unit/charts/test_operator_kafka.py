"""How the operator gets into a Kafka that asks who comes: its variables and its files, from a Secret of its own."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry_operator.kafka.settings import load_kafka_settings
from unit.charts.render import HelmError, Pod, render

SASL = ("operator.kafka.securityProtocol=SASL_SSL", "operator.kafka.saslMechanism=SCRAM-SHA-512")
EXTERNAL = (
    "kafka.enabled=false",
    "global.externalKafka.bootstrapServers=k:1",
    "global.externalKafka.securityProtocol=SSL",
)
SECRET = ("operator.kafka.existingSecret=my-kafka",)


def find_pod(*settings: str) -> Pod:
    return render(*settings).pod("Deployment/hub-operator")


def find_files(pod: Pod) -> set[str]:
    """Return the paths of the files that the pod has from the Secret."""
    mounts = {mount["name"]: mount["mountPath"] for mount in pod.containers[0]["volumeMounts"]}
    volumes = [volume for volume in pod.spec["volumes"] if "secret" in volume]
    assert all(volume["secret"]["secretName"] == "my-kafka" for volume in volumes)
    return {f"{mounts[one['name']]}/{item['path']}" for one in volumes for item in one["secret"]["items"]}


def test_it_has_no_secret_where_it_needs_none() -> None:
    pod = find_pod()
    assert find_files(pod) == set()
    assert not [name for name in pod.environment if name.startswith(("KAFKA_SASL", "KAFKA_SSL", "KAFKA_SECURITY"))]


@pytest.mark.parametrize(
    ("settings", "protocol", "keys"),
    [
        (SASL, "SASL_SSL", {"username", "password", "ca.crt"}),
        (("operator.kafka.securityProtocol=SASL_PLAINTEXT", SASL[1]), "SASL_PLAINTEXT", {"username", "password"}),
        (("operator.kafka.securityProtocol=SSL",), "SSL", {"ca.crt"}),
        (
            ("operator.kafka.securityProtocol=SSL", "operator.kafka.secretKeys={ca.crt,tls.crt,tls.key}"),
            "SSL",
            {"ca.crt", "tls.crt", "tls.key"},
        ),
        (EXTERNAL, "SSL", {"ca.crt"}),
        ((*SASL, "operator.kafka.secretKeys={username,password}"), "SASL_SSL", {"username", "password"}),
    ],
    ids=["SASL and TLS", "SASL", "TLS", "a certificate of its own", "the hub's protocol", "the system's authorities"],
)
def test_what_it_has_is_what_its_client_takes(settings: tuple[str, ...], protocol: str, keys: set[str]) -> None:
    pod = find_pod(*settings, *SECRET)
    read = load_kafka_settings(pod.environment)
    assert read.security_protocol == protocol
    assert read.sasl_username == ("<my-kafka/username>" if "username" in keys else None)
    assert (read.sasl_password is not None) == ("password" in keys)
    locations = {read.ssl_ca_location, read.ssl_certificate_location, read.ssl_key_location} - {None}
    assert locations == find_files(pod) == {f"/etc/iot-hub/kafka/{key}" for key in keys - {"username", "password"}}


@pytest.mark.parametrize(
    "settings",
    [
        SASL,
        (SASL[0], *SECRET),
        (SASL[1], *SECRET),
        (*SASL, *SECRET, "operator.kafka.secretKeys={user}"),
        ("operator.kafka.securityProtocol=TLS",),
    ],
    ids=["no secret", "no mechanism", "no protocol", "no such key", "no such protocol"],
)
def test_what_cant_work_is_refused(settings: tuple[Any, ...]) -> None:
    with pytest.raises(HelmError):
        find_pod(*settings)
