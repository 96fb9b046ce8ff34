"""The chart's MQTT half: how another broker is reached, and that each value arrives where the process reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.mqtt import check_windows
from ingestion.settings import MqttSettings
from producers.config import ProducerConfig
from telemetry.settings import load_settings
from unit.charts.render import ROOT, HelmError, Pod, render
from unit.charts.variants import EXTERNAL_MQTT

if TYPE_CHECKING:
    from unit.conftest import SetVariables

OWNER = "StatefulSet/hub-ingestion-mqtt"
CA, CLIENT = "/etc/iot-hub/mqtt-ca", "/etc/iot-hub/mqtt-client"


def read_settings(environment: SetVariables, *settings: str) -> MqttSettings:
    environment({**render(*settings).pod(OWNER).environment, "MQTT_CLIENT_ID": "hub-ingestion-mqtt-0"})
    return load_settings(MqttSettings)


def find_mounts(pod: Pod) -> dict[str, Any]:
    """Return what is mounted, by its path."""
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    return {mount["mountPath"]: volumes[mount["name"]] for mount in pod.spec["containers"][0]["volumeMounts"]}


def test_by_default_the_process_has_its_own_defaults(environment: SetVariables) -> None:
    given = read_settings(environment)
    names = {
        *("receive_maximum", "max_in_flight_bytes", "session_expiry_seconds", "keepalive_seconds", "retained"),
        *("max_user_properties", "max_user_property_bytes", "protocol", "transport", "device_template"),
        *("tls", "tls_ca", "tls_cert", "tls_key"),
    }
    assert {name: getattr(given, name) for name in names} == {
        name: MqttSettings.model_fields[name].default for name in names
    }
    check_windows(given, load_settings(ProducerConfig))


@pytest.mark.parametrize(
    ("value", "field", "meant"),
    [
        ("deviceTemplate=a/{device}\\,b/{device}/#", "device_template", ("a/{device}", "b/{device}/#")),
        ("receiveMaximum=20", "receive_maximum", 20),
        ("maxInFlightBytes=20971520", "max_in_flight_bytes", 20_971_520),
        ("sessionExpirySeconds=4294967294", "session_expiry_seconds", 4_294_967_294),
        ("keepaliveSeconds=60", "keepalive_seconds", 60),
        ("retained=skip", "retained", "skip"),
        ("maxUserProperties=0", "max_user_properties", 0),
        ("maxUserPropertyBytes=100", "max_user_property_bytes", 100),
        ("protocol=3.1.1", "protocol", "3.1.1"),
        ("protocol=5", "protocol", "5"),
        ("transport=websockets", "transport", "websockets"),
        ("tls.enabled=true", "uses_tls", True),
    ],
)
def test_each_value_arrives(environment: SetVariables, value: str, field: str, meant: object) -> None:
    name, _, text = value.partition("=")
    escaped = text.replace("{", "\\{").replace("}", "\\}")
    assert getattr(read_settings(environment, *EXTERNAL_MQTT, f"ingestion.mqtt.{name}={escaped}"), field) == meant


def test_a_broker_behind_websockets_and_an_authority_of_ones_own(environment: SetVariables) -> None:
    settings = (
        *EXTERNAL_MQTT,
        "ingestion.mqtt.transport=websockets",
        "ingestion.mqtt.websocketPath=/broker/ws",
        "ingestion.mqtt.tls.enabled=true",
        "ingestion.mqtt.tls.caSecret=their-ca",
        "ingestion.mqtt.tls.clientSecret=our-certificate",
    )
    given = read_settings(environment, *settings)
    assert (given.host, given.port, given.username) == ("mqtt.example.com", 8884, "<their-account/username>")
    assert (given.websocket_path, given.tls_ca) == ("/broker/ws", f"{CA}/ca.crt")
    assert (given.tls_cert, given.tls_key) == (f"{CLIENT}/tls.crt", f"{CLIENT}/tls.key")
    # The files lie where the settings say
    mounts = find_mounts(render(*settings).pod(OWNER))
    authority, certificate = (mounts[path]["secret"] for path in (CA, CLIENT))
    assert (authority["secretName"], certificate["secretName"]) == ("their-ca", "our-certificate")
    assert [item["path"] for item in authority["items"]] == ["ca.crt"]
    assert [item["path"] for item in certificate["items"]] == ["tls.crt", "tls.key"]


def test_the_values_that_the_docs_give_are_taken(environment: SetVariables, tmp_path: Path) -> None:
    [block] = re.findall(
        r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "ingestion.md").read_text(), re.MULTILINE | re.DOTALL
    )
    values = tmp_path / "values.yaml"
    values.write_text(block)
    environment({**render(values=values).pod(OWNER).environment, "MQTT_CLIENT_ID": "ingestion-0"})
    given = load_settings(MqttSettings)
    assert (given.host, given.port, given.username) == ("broker.example.com", 8883, "<ingestion-account/username>")
    assert (given.uses_tls, given.tls_ca, given.tls_cert) == (True, f"{CA}/ca.crt", f"{CLIENT}/tls.crt")


def test_the_hubs_own_broker_is_asked_how_much_it_holds_and_may_be() -> None:
    rendered = render()
    topic = rendered.pod(OWNER).environment["MQTT_STORED_TOPIC"]
    assert f"topic read {topic}" in rendered.get("ConfigMap", "hub-mqtt")["data"]["ingestion.acl"].splitlines()
    assert "MQTT_STORED_TOPIC" not in render(*EXTERNAL_MQTT).pod(OWNER).environment
    other = render(*EXTERNAL_MQTT, "ingestion.mqtt.storedTopic=$SYS/held").pod(OWNER).environment
    assert other["MQTT_STORED_TOPIC"] == "$SYS/held"


def test_without_tls_nothing_of_it_is_mounted() -> None:
    assert set(find_mounts(render().pod(OWNER))) == {"/tmp"}


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ((*EXTERNAL_MQTT, "ingestion.mqtt.tls.caSecret=ca"), "set ingestion.mqtt.tls.enabled=true"),
        (("ingestion.mqtt.tls.enabled=true",), "set global.externalMqtt.host, or leave them out"),
        (("ingestion.mqtt.transport=websockets",), "set global.externalMqtt.host, or leave them out"),
    ],
)
def test_what_would_not_connect_is_refused_with_advice(settings: tuple[str, ...], advice: str) -> None:
    with pytest.raises(HelmError, match=advice):
        render(*settings)


@pytest.mark.parametrize(
    "setting",
    ["retained=drop", "protocol=4", "transport=udp", "websocketPath=mqtt", "keepaliveSeconds=1", "tls.ca=x"],
)
def test_a_value_that_can_not_work_is_an_error(setting: str) -> None:
    with pytest.raises(HelmError):
        render(f"ingestion.mqtt.{setting}")


def test_its_memory_holds_what_it_may_hold() -> None:
    pod = render().pod(OWNER)
    limit = int(pod.spec["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert int(pod.environment["MQTT_MAX_IN_FLIGHT_BYTES"]) // 2**20 + 128 <= limit
