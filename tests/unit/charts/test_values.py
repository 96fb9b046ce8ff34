"""What the values mean, and that a wrong one is refused with a sentence that helps."""

from __future__ import annotations

import base64
import json

import pytest
import yaml

from unit.charts.render import HUB, PARTS, HelmError, Rendered, render
from unit.charts.variants import EXTERNAL_KAFKA, EXTERNAL_MQTT


def refuse(*settings: str, part: str = "", release: str = "hub") -> str:
    """Return what helm has against these settings."""
    with pytest.raises(HelmError) as refusal:
        render(*settings, part=part, release=release)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("kafka.replica=3", "replica"),
        ("kafka-ui.enable=false", "enable"),
        ("mqtt.auth.devices.user=me", "user"),
        ("ingestion.mqtt.replica=2", "replica"),
        ("ingestion.http.replica=2", "replica"),
        ("ingestion.http.apiKeys[0].device=2", "device"),
        ("operator.watchNamespace=x", "watchNamespace"),
        ("validator.replica=1", "replica"),
        ("topics.partitions=12", "partitions"),
        ("topics.list.more.partition=12", "partition"),
        ("global.externalKafka.bootstrapServer=kafka:9092", "bootstrapServer"),
        ("global.images.tag=dev", "images"),
        ("kafkaa.enabled=false", "kafkaa"),
    ],
)
def test_a_misspelt_value_is_an_error(setting: str, place: str) -> None:
    refusal = refuse(setting)
    assert f"'{place}' not allowed" in refusal


@pytest.mark.parametrize("part", PARTS)
def test_a_misspelt_value_of_a_part_alone_is_an_error(part: str) -> None:
    assert "'imagee' not allowed" in refuse("imagee.tag=1.0.0", part=part)
    assert "'externalKafkaa' not allowed" in refuse("global.externalKafkaa.bootstrapServers=a:1", part=part)


@pytest.mark.parametrize(
    "setting",
    [
        "kafka.replicas=2",
        "kafka.clusterId=short",
        "kafka.heap=lots",
        "mqtt.persistence.sync=off",
        "mqtt.limits.maxInflightMessages=0",
        "ingestion.mqtt.deviceTemplate=telemetry/device",
        "ingestion.logLevel=loud",
        "ingestion.http.service.type=Ingress",
        "ingestion.http.apiKeys[0].sha256=abc",
        "global.image.pullPolicy=Sometimes",
        "global.externalKafka.securityProtocol=SASL_SSL",
        "global.mqtt.topics=null",
        "global.mqtt.readyTopic=iot-hub/#",
    ],
)
def test_a_value_that_can_not_work_is_an_error(setting: str) -> None:
    if setting == "global.mqtt.topics=null":
        setting = "global.mqtt.topics={}"
    refuse(setting)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (("kafka.enabled=false",), "set global.externalKafka.bootstrapServers=HOST:PORT"),
        (("global.externalKafka.bootstrapServers=kafka:9092",), "set kafka.enabled=false"),
        (("mqtt.enabled=false",), "set global.externalMqtt.host, or ingestion.enabled=false"),
        (("global.externalMqtt.host=mqtt",), "set mqtt.enabled=false"),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_advice(settings: tuple[str, ...], advice: str) -> None:
    assert advice in refuse(*settings)


@pytest.mark.parametrize("part", ["", *PARTS])
def test_a_release_name_that_is_too_long_is_refused(part: str) -> None:
    assert "choose one of at most 37" in refuse(part=part, release="r" * 38)


def test_the_parts_agree_on_what_they_share() -> None:
    # Given the schemas, which are files of their own since each part can be installed alone
    schemas = [json.loads((HUB / "charts" / part / "values.schema.json").read_text()) for part in PARTS]
    hub = json.loads((HUB / "values.schema.json").read_text())
    # Then a definition of one name is the same everywhere
    for schema in schemas:
        for name, definition in schema["definitions"].items():
            assert definition == hub["definitions"].get(name, definition), name
        assert schema["properties"]["global"] == hub["properties"]["global"]


@pytest.mark.parametrize("part", ["", *PARTS])
def test_every_object_of_a_schema_is_closed(part: str) -> None:
    schema = json.loads(
        (HUB / "charts" / part / "values.schema.json" if part else HUB / "values.schema.json").read_text()
    )

    def find_open(node: object, path: str) -> list[str]:
        if isinstance(node, list):
            return [place for item in node for place in find_open(item, path)]
        if not isinstance(node, dict):
            return []
        is_object = "type" in node and "properties" in node  # a property may have either name, not both
        here = [path] if is_object and node.get("additionalProperties") is not False else []
        return here + [place for key, item in node.items() for place in find_open(item, f"{path}/{key}")]

    assert find_open(schema, "") == []


@pytest.mark.parametrize("part", ["", *PARTS])
def test_every_value_of_the_schema_is_in_the_values_file(part: str) -> None:
    # Given that people read values.yaml, not the schema
    folder = HUB / "charts" / part if part else HUB
    schema = json.loads((folder / "values.schema.json").read_text())
    values = yaml.safe_load((folder / "values.yaml").read_text())

    def find_absent(node: dict[str, object], at: object, path: str) -> list[str]:
        reference = node.get("$ref")
        if isinstance(reference, str):
            node = schema["definitions"][reference.rsplit("/", 1)[1]]
        properties = node.get("properties")
        if not isinstance(properties, dict) or not isinstance(at, dict):
            return []
        return [
            place
            for name, inner in properties.items()
            for place in ([f"{path}.{name}"] if name not in at else find_absent(inner, at[name], f"{path}.{name}"))
        ]

    if part:
        del schema["properties"]["global"]  # the parts' comments name it; the hub's file has it whole
    absent = [
        place
        for place in find_absent(schema, values, "")
        if not place.startswith((".resources.", ".topics.resources.", ".validator.resources."))
    ]
    assert absent == []


def test_a_part_that_is_switched_off_leaves_nothing_behind() -> None:
    for part in ("kafka-ui", "operator", "ingestion"):
        names = {
            item["metadata"]["labels"]["app.kubernetes.io/name"] for item in render(f"{part}.enabled=false").objects
        }
        assert part not in names
        assert "kafka" in names


def test_the_public_images_have_their_tags() -> None:
    rendered = render()
    images = {pod.owner: pod.spec["containers"][0]["image"] for pod in rendered.pods()}
    assert images["StatefulSet/hub-kafka"] == "apache/kafka:4.3.1"
    assert images["StatefulSet/hub-mqtt"] == "eclipse-mosquitto:2.1.2-alpine"
    assert images["Deployment/hub-kafka-ui"] == "ghcr.io/kafbat/kafka-ui:v1.5.0"
    assert images["StatefulSet/hub-ingestion-mqtt"] == "iot-hub/worker:0.1.0"
    assert images["Deployment/hub-operator"] == "iot-hub/operator:0.1.0"


def test_one_tag_and_registry_for_all_images_of_ours() -> None:
    rendered = render("global.image.registry=registry.example.com/team", "global.image.tag=1.2.3")
    ours = {
        container["image"]
        for pod in rendered.pods()
        for container in pod.containers
        if "iot-hub/" in container["image"]
    }
    assert ours == {f"registry.example.com/team/iot-hub/{name}:1.2.3" for name in ("worker", "operator")}
    operator = rendered.pod("Deployment/hub-operator").environment
    assert operator["OPERATOR_WORKER_IMAGE"] == "registry.example.com/team/iot-hub/worker:1.2.3"


def test_a_digest_takes_the_place_of_the_tag() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    settings = [f"{place}.digest={digest}" for place in ("kafka.image", "operator.image", "workerImage")]
    images = {container["image"] for pod in render(*settings).pods() for container in pod.containers}
    assert {f"{name}@{digest}" for name in ("apache/kafka", "iot-hub/operator", "iot-hub/worker")} <= images


def test_pull_secrets_reach_every_pod_and_the_workers() -> None:
    rendered = render("global.imagePullSecrets[0].name=one", "global.imagePullSecrets[1].name=two")
    for pod in rendered.pods():
        assert pod.spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}], pod.owner
    assert rendered.pod("Deployment/hub-operator").environment["OPERATOR_WORKER_IMAGE_PULL_SECRETS"] == "one,two"


class TestPasswords:
    """Passwords are generated, or someone's own; none stands in a file."""

    @staticmethod
    def account(rendered: Rendered, name: str) -> tuple[str, str]:
        data = rendered.get("Secret", name)["data"]
        return base64.b64decode(data["username"]).decode(), base64.b64decode(data["password"]).decode()

    def test_they_are_generated(self) -> None:
        rendered = render("kafka-ui.auth.enabled=true")
        names = ("hub-mqtt-auth", "hub-mqtt-ingestion", "hub-kafka-ui")
        accounts = [self.account(rendered, name) for name in names]
        assert [username for username, _ in accounts] == ["devices", "ingestion", "admin"]
        assert all(len(password) >= 32 for _, password in accounts)
        assert len({password for _, password in accounts}) == 3

    def test_they_are_others_at_each_installation(self) -> None:
        # Given two renderings that the cache can't take for one
        passwords = {self.account(render(f"mqtt.podLabels.run=r{run}"), "hub-mqtt-auth")[1] for run in range(2)}
        assert len(passwords) == 2

    def test_a_generated_one_does_not_change_what_runs(self) -> None:
        # Given that each rendering without a cluster generates another
        pods = [render(f"kafka.podLabels.run=r{run}").pod("StatefulSet/hub-mqtt") for run in range(2)]
        annotations = [
            render(f"kafka.podLabels.run=r{run}").get("StatefulSet", "hub-mqtt")["spec"]["template"] for run in range(2)
        ]
        # Then an upgrade would not roll the pods for it
        assert pods[0] == pods[1]
        assert annotations[0] == annotations[1]

    def test_a_given_one_is_taken(self) -> None:
        rendered = render("mqtt.auth.devices.username=plant", "mqtt.auth.devices.password=given")
        assert self.account(rendered, "hub-mqtt-auth") == ("plant", "given")

    def test_a_secret_of_ones_own_takes_its_place_everywhere(self) -> None:
        rendered = render(
            "global.mqtt.existingSecret=mine",
            "global.mqtt.ingestionExistingSecret=ours",
            "ingestion.http.existingSecret=keys",
        )
        assert rendered.all("Secret") == []
        accounts = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"]
            for entry in rendered.pod("StatefulSet/hub-mqtt").spec["initContainers"][0]["env"]
            if "valueFrom" in entry
        }
        assert set(accounts.values()) == {"mine", "ours"}
        assert rendered.pod("StatefulSet/hub-ingestion-mqtt").environment["MQTT_PASSWORD"] == "<ours/password>"
        assert rendered.pod("Pod/hub-test-round-trip").environment["MQTT_PASSWORD"] == "<mine/password>"


class TestExternalBrokers:
    """Others' Kafka and MQTT broker take the place of the hub's own in every part."""

    def test_kafka(self) -> None:
        rendered = render(*EXTERNAL_KAFKA)
        for owner in (
            "StatefulSet/hub-ingestion-mqtt",
            "Deployment/hub-ingestion-http",
            "Deployment/hub-operator",
            "Job/hub-topics-*",
            "Pod/hub-test-round-trip",
        ):
            environment = rendered.pod(owner).environment
            assert environment["KAFKA_BOOTSTRAP_SERVERS"] == "kafka.example.com:9093", owner
            assert environment["KAFKA_SECURITY_PROTOCOL"] == "SSL", owner
            assert json.loads(environment["KAFKA_PROPERTIES"]) == {"socket.keepalive.enable": True}, owner
        ui = rendered.pod("Deployment/hub-kafka-ui").environment
        assert ui["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == "kafka.example.com:9093"
        assert ui["KAFKA_CLUSTERS_0_PROPERTIES_SECURITY_PROTOCOL"] == "SSL"

    def test_mqtt(self) -> None:
        rendered = render(*EXTERNAL_MQTT)
        for owner in ("StatefulSet/hub-ingestion-mqtt", "Pod/hub-test-round-trip"):
            environment = rendered.pod(owner).environment
            assert (environment["MQTT_HOST"], environment["MQTT_PORT"]) == ("mqtt.example.com", "8884"), owner
            assert environment["MQTT_USERNAME"] == "<their-account/username>", owner

    def test_an_open_mqtt_broker_is_joined_without_an_account(self) -> None:
        environment = (
            render("mqtt.enabled=false", "global.externalMqtt.host=open")
            .pod("StatefulSet/hub-ingestion-mqtt")
            .environment
        )
        assert "MQTT_USERNAME" not in environment
        assert environment["MQTT_PORT"] == "1883"
