"""What the charts put into environments and objects, our programs understand as it is meant."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.settings import IngestionSettings, MqttSettings
from telemetry.kafka_config import KafkaConfig
from telemetry_operator.settings import load_settings
from telemetry_operator.spec import parse_consumer
from unit.charts.render import HUB, NAMESPACE, ROOT, Object, Rendered, render

if TYPE_CHECKING:
    from unit.conftest import SetVariables


def find_hook(item: Object) -> str:
    """Return when helm makes the object by itself, or nothing."""
    return str(item["metadata"].get("annotations", {}).get("helm.sh/hook", ""))


class TestMqtt:
    """Mosquitto's configuration."""

    @staticmethod
    def config(*settings: str) -> dict[str, str]:
        return dict(render(*settings).get("ConfigMap", "hub-mqtt")["data"])

    def test_what_is_acknowledged_is_on_the_disk(self) -> None:
        lines = self.config()["mosquitto.conf"].splitlines()
        plugin = lines.index("global_plugin /usr/lib/mosquitto_persist_sqlite.so")
        assert lines[plugin + 1 : plugin + 3] == ["plugin_opt_flush_period 0", "plugin_opt_sync full"]
        assert "persistence true" not in lines

    def test_nothing_is_dropped_in_silence(self) -> None:
        lines = self.config()["mosquitto.conf"].splitlines()
        assert {"max_queued_messages 0", "max_queued_bytes 0", "memory_limit 536870912"} <= set(lines)
        # Larger messages are not acknowledged and dropped (message_size_limit): their sender is disconnected.
        assert "max_packet_size 10551296" in lines
        assert not any(line.startswith("message_size_limit") for line in lines)

    def test_its_window_is_not_smaller_than_ingestions(self) -> None:
        [window] = [
            line for line in self.config()["mosquitto.conf"].splitlines() if line.startswith("max_inflight_messages")
        ]
        asked = render().pod("StatefulSet/hub-ingestion-mqtt").environment["MQTT_RECEIVE_MAXIMUM"]
        assert int(window.split()[1]) >= int(asked)

    def test_strangers_are_not_let_in(self) -> None:
        listeners = self.config()["mosquitto.conf"].split("listener 1883\n")[1].split("listener 1884\n")
        assert [listener.splitlines()[0] for listener in listeners] == ["listener_allow_anonymous false"] * 2
        assert "anonymous.acl" not in self.config()

    def test_strangers_may_be_let_in_on_the_devices_side_only(self) -> None:
        config = self.config("mqtt.auth.allowAnonymous=true")
        devices, ingestion = config["mosquitto.conf"].split("listener 1883\n")[1].split("listener 1884\n")
        assert devices.startswith("listener_allow_anonymous true")
        assert ingestion.startswith("listener_allow_anonymous false")
        assert config["anonymous.acl"] == "topic write telemetry/+\n"

    def test_devices_write_what_ingestion_reads(self) -> None:
        settings = ("global.mqtt.topics={plants/+/telemetry,telemetry/+}",)
        config = self.config(*settings, "mqtt.auth.devices.subscribe={commands/+}")
        assert config["devices.acl"].splitlines() == [
            "topic write plants/+/telemetry", "topic write telemetry/+", "topic read commands/+",
        ]  # fmt: skip
        assert config["ingestion.acl"].splitlines() == [
            "topic read plants/+/telemetry", "topic read telemetry/+", "topic readwrite iot-hub/ingestion/ready",
            "topic read $SYS/broker/store/messages/count",
        ]  # fmt: skip
        read = render(*settings).pod("StatefulSet/hub-ingestion-mqtt").environment["MQTT_TOPICS"]
        assert read == "plants/+/telemetry,telemetry/+"

    def test_devices_wait_for_the_mark_that_ingestion_leaves(self) -> None:
        rendered = render("global.mqtt.readyTopic=hub/ready")
        pod = rendered.pod("StatefulSet/hub-mqtt")
        assert pod.spec["containers"][0]["readinessProbe"]["exec"]["command"] == ["sh", "/mosquitto/config/ready.sh"]
        assert rendered.get("ConfigMap", "hub-mqtt")["data"]["probe.acl"] == "topic read hub/ready\n"
        [account_maker] = pod.spec["initContainers"]
        assert {"name": "READY_TOPIC", "value": "hub/ready"} in account_maker["env"]
        assert rendered.pod("StatefulSet/hub-ingestion-mqtt").environment["MQTT_READY_TOPIC"] == "hub/ready"

    def test_ingestion_reaches_it_before_it_is_ready(self) -> None:
        rendered = render()
        inside, outside = (rendered.get("Service", f"hub-mqtt{which}")["spec"] for which in ("-internal", ""))
        assert inside["publishNotReadyAddresses"] is True
        assert [port["port"] for port in inside["ports"]] == [1884]
        assert "publishNotReadyAddresses" not in outside
        assert [port["port"] for port in outside["ports"]] == [1883]

    def test_without_an_ingester_it_can_be_ready_by_itself(self) -> None:
        probe = (
            render("mqtt.requireIngestion=false").pod("StatefulSet/hub-mqtt").spec["containers"][0]["readinessProbe"]
        )
        assert probe["tcpSocket"] == {"port": "mqtt"}

    def test_a_changed_account_rolls_it(self) -> None:
        def annotations(*settings: str) -> Any:
            return render(*settings).get("StatefulSet", "hub-mqtt")["spec"]["template"]["metadata"]["annotations"]

        assert annotations("mqtt.auth.devices.password=one") != annotations("mqtt.auth.devices.password=two")
        assert annotations("global.mqtt.existingSecret=mine") != annotations()


class TestIngestion:
    """Ingestion's environment."""

    def test_its_settings_are_understood(self, environment: SetVariables) -> None:
        given = render().pod("StatefulSet/hub-ingestion-mqtt").environment
        environment({**given, "MQTT_CLIENT_ID": "hub-ingestion-mqtt-0", "MQTT_PASSWORD": "secret"})
        mqtt, ingestion, kafka = MqttSettings(), IngestionSettings(), KafkaConfig()
        assert (mqtt.host, mqtt.port) == (f"hub-mqtt-internal.{NAMESPACE}.svc", 1884)
        assert mqtt.filters == ("telemetry/+",)
        assert (mqtt.receive_maximum, mqtt.session_expiry_seconds) == (1000, 604_800)
        assert mqtt.ready_topic == "iot-hub/ingestion/ready"
        assert mqtt.ordinal == 0
        assert (ingestion.topic, ingestion.dlq_topic) == ("telemetry.raw", "telemetry.dlq")
        assert kafka.bootstrap_servers == f"hub-kafka.{NAMESPACE}.svc:9092"
        assert os.environ["HTTP_PORT"] == "8081"

    def test_every_variable_is_one_that_it_knows(self) -> None:
        known = {"HTTP_PORT", "LOG_LEVEL", "LOG_FORMAT"}
        for prefix, model in (("MQTT_", MqttSettings), ("INGESTION_", IngestionSettings), ("KAFKA_", KafkaConfig)):
            known |= {f"{prefix}{field}".upper() for field in model.model_fields}
        assert set(render("ingestion.mqtt.replicas=2").pod("StatefulSet/hub-ingestion-mqtt").environment) <= known

    def test_its_session_is_named_after_its_pod(self) -> None:
        assert render().pod("StatefulSet/hub-ingestion-mqtt").environment["MQTT_CLIENT_ID"] == "<metadata.name>"

    def test_one_alone_does_not_share(self) -> None:
        assert "MQTT_SHARE_GROUP" not in render().pod("StatefulSet/hub-ingestion-mqtt").environment

    def test_several_share(self) -> None:
        given = render("ingestion.mqtt.replicas=3").pod("StatefulSet/hub-ingestion-mqtt").environment
        assert given["MQTT_SHARE_GROUP"] == "iot-hub-ingestion"

    def test_it_has_a_minute_to_hand_over_what_it_has(self) -> None:
        assert render().pod("StatefulSet/hub-ingestion-mqtt").spec["terminationGracePeriodSeconds"] == 60


class TestOperator:
    """The operator's environment, its rights and its CRD."""

    def test_its_settings_are_understood(self) -> None:
        rendered = render(
            "global.imagePullSecrets[0].name=key", "operator.watchNamespaces={one}", "global.image.tag=dev"
        )
        settings = load_settings(rendered.pod("Deployment/hub-operator").environment)
        assert settings.worker_image == "iot-hub/worker:dev"
        assert settings.worker_image_pull_policy == "IfNotPresent"
        assert settings.worker_image_pull_secrets == ("key",)
        assert settings.namespaces == ("one", NAMESPACE)
        assert settings.kafka_bootstrap_servers == f"hub-kafka.{NAMESPACE}.svc:9092"
        assert (settings.resync_seconds, settings.http_port) == (30, 8081)

    def test_the_worker_image_is_a_literal_value(self) -> None:
        # Tilt's match_in_env_vars looks for it there.
        [container] = render().pod("Deployment/hub-operator").spec["containers"]
        assert {"name": "OPERATOR_WORKER_IMAGE", "value": "iot-hub/worker:0.1.0"} in container["env"]

    def test_there_are_never_two(self) -> None:
        spec = render().get("Deployment", "hub-operator")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})

    def test_it_serves_the_whole_cluster_by_default(self) -> None:
        rendered = render()
        assert load_settings(rendered.pod("Deployment/hub-operator").environment).namespaces == ()
        assert rendered.get("ClusterRole", f"{NAMESPACE}:hub-operator")
        assert rendered.all("Role") == []

    def test_named_namespaces_get_a_role_each_and_the_cluster_none(self) -> None:
        rendered = render("operator.watchNamespaces={one,two}")
        assert {role["metadata"]["namespace"] for role in rendered.all("Role")} == {"one", "two", NAMESPACE}
        assert {role["metadata"]["namespace"] for role in rendered.all("RoleBinding")} == {"one", "two", NAMESPACE}
        assert [role for role in rendered.all("ClusterRole") if not find_hook(role)] == []

    @pytest.mark.parametrize("settings", [(), ("operator.watchNamespaces={one}",)])
    def test_it_has_no_right_to_secrets_or_to_everything(self, settings: tuple[str, ...]) -> None:
        rendered = render(*settings)
        rules = [rule for kind in ("Role", "ClusterRole") for role in rendered.all(kind) for rule in role["rules"]]
        assert rules
        for rule in rules:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert {"secrets", "namespaces", "nodes"}.isdisjoint(rule["resources"])
            assert {"deletecollection", "escalate", "bind", "impersonate"}.isdisjoint(rule["verbs"])
            # What it makes goes by owner references; only autoscaling can be taken back while its owner stays.
            assert "delete" not in rule["verbs"] or rule["apiGroups"] == ["keda.sh"]

    def test_the_crds_are_those_of_the_root(self) -> None:
        def read(folder: str) -> dict[str, str]:
            return {path.name: path.read_text() for path in (ROOT / folder).glob("*.yaml")}

        assert read("crds")
        assert read("charts/iot-hub/charts/operator/crds") == read("crds")

    def test_a_hook_brings_the_crds_up_to_date_and_is_gone(self) -> None:
        rendered = render()
        hooks = [
            item
            for item in rendered.objects
            if "pre-upgrade" in item["metadata"].get("annotations", {}).get("helm.sh/hook", "")
        ]
        assert {item["kind"] for item in hooks} == {
            "ConfigMap", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job",
        }  # fmt: skip
        for item in hooks:
            policy = item["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
            assert policy == "before-hook-creation,hook-succeeded"
        data = rendered.get("ConfigMap", "hub-operator-crds")["data"]
        assert (
            data["telemetryconsumer.yaml"].rstrip() == (ROOT / "crds" / "telemetryconsumer.yaml").read_text().rstrip()
        )
        command = rendered.pod("Job/hub-operator-crds").spec["containers"][0]["command"]
        assert command == ["python", "-m", "telemetry_operator", "--apply-crds", "/etc/iot-hub/crds"]
        assert "hub-operator-crds" not in {
            item["metadata"]["name"] for item in render("operator.crds.upgrade=false").objects
        }


class TestValidator:
    """The validator, a TelemetryConsumer of the hub's own."""

    @staticmethod
    def object(rendered: Rendered) -> dict[str, Any]:
        return copy.deepcopy(dict(rendered.get("TelemetryConsumer", "hub-validator")))

    def test_the_operator_takes_it(self) -> None:
        body = self.object(render("validator.replicas=2"))
        # Given what the API server adds
        body["metadata"] |= {"uid": "f00d", "generation": 1}
        spec = parse_consumer(body).spec
        assert tuple(spec.topics) == ("telemetry.raw",)
        assert body["spec"]["replicas"] == 2
        assert body["spec"]["decodeJson"] is False
        assert body["spec"]["output"] == {"topic": "telemetry.clean"}

    def test_it_is_left_out_without_the_operator(self) -> None:
        for setting in ("operator.enabled=false", "validator.enabled=false"):
            assert render(setting).all("TelemetryConsumer") == []

    def test_its_topics_are_made(self) -> None:
        spec = self.object(render())["spec"]
        [job] = [item for item in render().all("Job") if "-topics-" in item["metadata"]["name"]]
        made = render().get("ConfigMap", job["metadata"]["name"])["data"]["topics.json"]
        for topic in (*spec["topics"], spec["output"]["topic"], spec["deadLetter"]["topic"]):
            assert f'"{topic}"' in made


class TestHelmTest:
    """`helm test`: a reading travels from MQTT to the clean topic."""

    def test_it_is_a_hook_with_the_script_beside_it(self) -> None:
        rendered = render()
        pod = rendered.get("Pod", "hub-test-round-trip")
        assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
        script = rendered.get("ConfigMap", "hub-test-round-trip")["data"]["round_trip.py"]
        assert script.rstrip() == (HUB / "files" / "round_trip.py").read_text().rstrip()

    def test_it_publishes_as_a_device_does(self) -> None:
        environment = render().pod("Pod/hub-test-round-trip").environment
        assert (environment["MQTT_HOST"], environment["MQTT_PORT"]) == (f"hub-mqtt.{NAMESPACE}.svc", "1883")
        assert environment["MQTT_USERNAME"] == "<hub-mqtt-auth/username>"
        assert environment["TEST_MQTT_TOPIC"] == "telemetry/helm-test"

    def test_it_publishes_where_devices_may(self) -> None:
        environment = render("global.mqtt.topics={plants/+/out/#}").pod("Pod/hub-test-round-trip").environment
        assert environment["TEST_MQTT_TOPIC"] == "plants/helm-test/out/helm-test"

    def test_it_is_left_out_where_nothing_would_arrive(self) -> None:
        for part in ("ingestion", "operator", "validator"):
            assert render(f"{part}.enabled=false").all("Pod") == []


@pytest.mark.parametrize(
    "setting", ["ingestion.mqtt.tls.enabled=true", "ingestion.mqtt.transport=websockets", "operator.enabled=false"]
)
def test_helm_test_is_there_only_where_it_can_come_through(setting: str) -> None:
    name = "hub-test-round-trip"
    assert name in {item["metadata"]["name"] for item in render().all("Pod")}
    broker = ("mqtt.enabled=false", "global.externalMqtt.host=broker.example.com")
    assert name not in {item["metadata"]["name"] for item in render(setting, *broker).all("Pod")}
