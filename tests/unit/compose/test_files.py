"""What compose.yaml starts is configured as the chart configures it, and published to this machine alone."""

from __future__ import annotations

from typing import Any

import yaml

from topics.plan import TopicsFile
from unit.charts.render import ROOT, render

COMPOSE = ROOT / "compose"
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = DOCUMENT["services"]


def read_options(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def read_properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in read_options(text))


def test_kafka_has_the_charts_properties() -> None:
    chart = read_properties(render().get("ConfigMap", "hub-kafka")["data"]["server.properties"])
    ours = read_properties((COMPOSE / "kafka" / "server.properties").read_text())
    own = {"controller.quorum.voters", "listeners"}
    assert {name: value for name, value in ours.items() if name not in own} == {
        name: value for name, value in chart.items() if name not in own
    }


def test_kafka_gets_every_variable_of_the_start_script() -> None:
    pod = render().pod("StatefulSet/hub-kafka").environment
    assert set(SERVICES["kafka"]["environment"]) == set(pod) - {"POD_NAME"}


def test_kafka_logs_as_in_the_chart() -> None:
    chart = render().get("ConfigMap", "hub-kafka")["data"]["log4j2.yaml"]
    assert yaml.safe_load((COMPOSE / "kafka" / "log4j2.yaml").read_text()) == yaml.safe_load(chart)


def test_mosquitto_has_the_charts_options() -> None:
    chart = read_options(render("mqtt.auth.allowAnonymous=true").get("ConfigMap", "hub-mqtt")["data"]["mosquitto.conf"])
    folder = COMPOSE / "mosquitto"
    broker, devices = (read_options((folder / f"{name}.conf").read_text()) for name in ("broker", "devices"))
    assert sorted(broker + devices) == sorted(chart)
    # Ingestion has its listener before devices have theirs.
    assert "listener 1884" in broker
    assert devices[0] == "listener 1883"


def test_who_may_read_and_write_is_as_in_the_chart() -> None:
    chart = render("mqtt.auth.allowAnonymous=true").get("ConfigMap", "hub-mqtt")["data"]
    files = {path.name: read_options(path.read_text()) for path in (COMPOSE / "mosquitto").glob("*.acl")}
    assert files == {name: read_options(text) for name, text in chart.items() if name.endswith(".acl")}


def test_the_accounts_script_gets_all_its_variables() -> None:
    environment = render().pod("StatefulSet/hub-mqtt").spec["initContainers"][0]["env"]
    assert set(SERVICES["mosquitto"]["environment"]) == {entry["name"] for entry in environment}


def test_the_topics_are_the_charts() -> None:
    [chart] = [
        item["data"]["topics.json"] for item in render().all("ConfigMap") if "-topics-" in item["metadata"]["name"]
    ]
    assert TopicsFile.model_validate_json((COMPOSE / "topics.json").read_bytes()) == TopicsFile.model_validate_json(
        chart
    )


def test_the_public_images_are_the_charts() -> None:
    pods = {pod.owner: pod.spec["containers"][0]["image"] for pod in render().pods()}
    assert SERVICES["kafka"]["image"] == pods["StatefulSet/hub-kafka"]
    assert SERVICES["mosquitto"]["image"] == pods["StatefulSet/hub-mqtt"]
    assert SERVICES["kafka-ui"]["image"] == pods["Deployment/hub-kafka-ui"]


def test_what_is_published_is_published_to_this_machine_alone() -> None:
    # Given that nobody is asked for an account
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"kafka", "mosquitto", "ingestion-http", "kafka-ui"}
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:${IOTHUB_") for port in ports)


def test_kafka_ui_comes_unless_it_is_left_out() -> None:
    variables = dict(line.split("=", 1) for line in read_options((ROOT / ".env").read_text()))
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles.pop("kafka-ui") == [variables["COMPOSE_PROFILES"]]
    assert not any(profiles.values())


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in DOCUMENT["volumes"] or (ROOT / source).exists(), volume


def test_a_service_of_the_worker_image_has_what_all_of_them_share() -> None:
    shared = DOCUMENT["x-worker"]
    ours = {name: service for name, service in SERVICES.items() if "iot-hub/worker" in service["image"]}
    assert set(ours) == {"topics", "ingestion", "ingestion-http", "validator", "raw-logger"}
    for name, service in ours.items():
        assert service["image"] == shared["image"], name
        assert service["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == "kafka:9092"
        assert service["depends_on"]["kafka"] == {"condition": "service_healthy"}
    # Compose builds services side by side, and some versions fail where two build the same image.
    assert [name for name, service in SERVICES.items() if "build" in service] == ["topics"]
    groups = [service["environment"].get("KAFKA_GROUP_ID") for service in ours.values()]
    assert len(set(groups) - {None}) == 2
