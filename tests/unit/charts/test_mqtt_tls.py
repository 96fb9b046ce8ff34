"""The chart's MQTT broker over TLS: a listener and a Service more, and the rest as it is."""

from __future__ import annotations

from typing import Any

import pytest

from unit.charts.render import HelmError, Rendered, render

SECRET = "mqtt.tls.existingSecret=broker-certificate"
CLIENTS = "mqtt.tls.clientCaSecret=device-authority"


def find_listener(rendered: Rendered) -> list[str]:
    """Return the lines of the listener's part of mosquitto's configuration."""
    config = rendered.get("ConfigMap", "hub-mqtt")["data"]["mosquitto.conf"]
    return str(config.partition("listener 8883\n")[2]).splitlines()


def find_volumes(rendered: Rendered) -> dict[str, Any]:
    return {volume["name"]: volume for volume in rendered.pod("StatefulSet/hub-mqtt").spec["volumes"]}


def test_by_default_there_is_none() -> None:
    rendered = render()
    assert "listener 8883" not in rendered.get("ConfigMap", "hub-mqtt")["data"]["mosquitto.conf"]
    assert "hub-mqtt-tls" not in {item["metadata"]["name"] for item in rendered.all("Service")}
    assert "tls" not in find_volumes(rendered)


def test_the_listener_finds_its_certificate_where_it_is_mounted() -> None:
    rendered = render(SECRET)
    assert find_listener(rendered) == [
        "listener_allow_anonymous false",
        "certfile /mosquitto/tls/tls.crt",
        "keyfile /mosquitto/tls/tls.key",
    ]
    [container] = rendered.pod("StatefulSet/hub-mqtt").spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["tls"] == "/mosquitto/tls"
    secret = find_volumes(rendered)["tls"]["secret"]
    assert secret["secretName"] == "broker-certificate"
    assert [item["path"] for item in secret["items"]] == ["tls.crt", "tls.key"]
    # The broker's group may read the key, nobody else
    assert secret["defaultMode"] == 0o440


def test_devices_reach_it_by_a_service_of_its_own() -> None:
    rendered = render(SECRET, "mqtt.tls.service.type=NodePort", "mqtt.tls.service.nodePort=30883")
    plain, encrypted = (rendered.get("Service", name)["spec"] for name in ("hub-mqtt", "hub-mqtt-tls"))
    assert (plain["type"], [port["port"] for port in plain["ports"]]) == ("ClusterIP", [1883])
    assert encrypted["type"] == "NodePort"
    assert encrypted["ports"] == [{"name": "mqtts", "port": 8883, "targetPort": "mqtts", "nodePort": 30883}]
    assert encrypted["selector"] == plain["selector"]


def test_devices_can_be_asked_for_a_certificate() -> None:
    rendered = render(SECRET, CLIENTS)
    assert find_listener(rendered)[-2:] == ["cafile /mosquitto/client-ca/ca.crt", "require_certificate true"]
    assert find_volumes(rendered)["client-ca"]["secret"]["secretName"] == "device-authority"


def test_strangers_are_let_in_there_too_where_they_are_elsewhere() -> None:
    assert find_listener(render(SECRET, "mqtt.auth.allowAnonymous=true"))[0] == "listener_allow_anonymous true"


def test_an_authority_without_a_certificate_is_refused_with_advice() -> None:
    with pytest.raises(HelmError, match=r"mqtt\.tls\.existingSecret is not: a listener needs a certificate"):
        render(CLIENTS)


def test_its_settings_roll_the_broker() -> None:
    def annotations(*settings: str) -> Any:
        return render(*settings).get("StatefulSet", "hub-mqtt")["spec"]["template"]["metadata"]["annotations"]

    assert len({annotations(*settings)["checksum/config"] for settings in ((), (SECRET,), (SECRET, CLIENTS))}) == 3
