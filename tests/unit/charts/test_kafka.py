"""Kafka's configuration, for one node and for three, and the topics."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path

import pytest

from support import require
from topics.plan import TopicsFile
from unit.charts.render import NAMESPACE, Rendered, render


def read_properties(rendered: Rendered) -> dict[str, str]:
    text = rendered.get("ConfigMap", "hub-kafka")["data"]["server.properties"]
    return dict(line.split("=", 1) for line in text.splitlines())


def read_topics(rendered: Rendered) -> TopicsFile:
    [job] = [item for item in rendered.all("Job") if item["metadata"]["name"].startswith("hub-topics-")]
    return TopicsFile.model_validate_json(rendered.get("ConfigMap", job["metadata"]["name"])["data"]["topics.json"])


def job_name(*settings: str) -> str:
    [name] = [
        str(item["metadata"]["name"]) for item in render(*settings).all("Job") if "-topics-" in item["metadata"]["name"]
    ]
    return name


@pytest.mark.parametrize(("nodes", "in_sync"), [(1, 1), (3, 2)])
def test_copies_follow_the_number_of_nodes(nodes: int, in_sync: int) -> None:
    rendered = render(f"kafka.replicas={nodes}")
    properties = read_properties(rendered)
    assert rendered.get("StatefulSet", "hub-kafka")["spec"]["replicas"] == nodes
    assert len(properties["controller.quorum.voters"].split(",")) == nodes
    for copies in ("default.", "offsets.topic.", "transaction.state.log.", "share.coordinator.state.topic."):
        assert properties[f"{copies}replication.factor"] == str(nodes)
    for least in ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"):
        assert properties[least] == str(in_sync)
    for topic in read_topics(rendered).topics:
        assert topic.replication_factor == nodes
        assert topic.configs["min.insync.replicas"] == str(in_sync)


def test_every_node_is_a_voter_under_its_own_address() -> None:
    voters = read_properties(render("kafka.replicas=3"))["controller.quorum.voters"]
    assert voters.split(",") == [
        f"{node}@hub-kafka-{node}.hub-kafka-headless.{NAMESPACE}.svc:9093" for node in range(3)
    ]


def test_topics_are_not_made_by_first_use() -> None:
    assert read_properties(render())["auto.create.topics.enable"] == "false"


def test_the_place_of_a_paused_group_is_kept_longer_than_any_topic_keeps_messages() -> None:
    minutes = int(read_properties(render())["offsets.retention.minutes"])
    for topic in read_topics(render()).topics:
        assert minutes * 60_000 > 10 * int(topic.configs["retention.ms"])
    assert read_properties(render("kafka.offsetsRetentionDays=2"))["offsets.retention.minutes"] == "2880"


def test_a_property_of_the_values_wins() -> None:
    properties = read_properties(render("kafka.config.message\\.max\\.bytes=2000000", "kafka.config.log\\.dirs=/a_b-c"))
    assert properties["message.max.bytes"] == "2000000"
    assert properties["log.dirs"] == "/a_b-c"


def test_the_cluster_id_stays_the_same_and_is_one_that_kafka_takes() -> None:
    # Given two renderings that the cache can't take for one
    ids = {
        render(f"kafka.podLabels.run=r{run}").pod("StatefulSet/hub-kafka").environment["CLUSTER_ID"] for run in range(2)
    }
    [cluster_id] = ids
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", cluster_id)
    assert len(base64.urlsafe_b64decode(cluster_id + "==")) == 16
    # Then another release has another
    assert render(release="other").pod("StatefulSet/other-kafka").environment["CLUSTER_ID"] != cluster_id


def test_a_given_cluster_id_is_taken() -> None:
    environment = render("kafka.clusterId=5L6g3nShT-eMCtK--X86sw").pod("StatefulSet/hub-kafka").environment
    assert environment["CLUSTER_ID"] == "5L6g3nShT-eMCtK--X86sw"


def test_its_data_is_below_the_volume_and_not_at_its_root() -> None:
    # A fresh disk has a folder lost+found at its root, which Kafka would take for a partition.
    rendered = render()
    stateful_set = rendered.get("StatefulSet", "hub-kafka")["spec"]
    [claim] = stateful_set["volumeClaimTemplates"]
    [mount] = [
        m
        for m in stateful_set["template"]["spec"]["containers"][0]["volumeMounts"]
        if m["name"] == claim["metadata"]["name"]
    ]
    assert read_properties(rendered)["log.dirs"].startswith(mount["mountPath"] + "/")


def test_a_changed_property_rolls_the_nodes() -> None:
    def checksum(*settings: str) -> str:
        template = render(*settings).get("StatefulSet", "hub-kafka")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum() == checksum("kafka.podLabels.a=b")
    assert checksum() != checksum("kafka.config.num\\.io\\.threads=4")


class TestTopics:
    """The Job that makes the topics."""

    def test_the_three_topics(self) -> None:
        topics = {topic.name: topic for topic in read_topics(render()).topics}
        assert {name: topic.partitions for name, topic in topics.items()} == {
            "telemetry.raw": 6, "telemetry.clean": 6, "telemetry.dlq": 6,
        }  # fmt: skip
        day = 24 * 3600 * 1000
        retention = {name: int(topic.configs["retention.ms"]) // day for name, topic in topics.items()}
        assert retention == {"telemetry.raw": 7, "telemetry.clean": 7, "telemetry.dlq": 30}
        sizes = {name: int(topic.configs["max.message.bytes"]) for name, topic in topics.items()}
        assert sizes == {
            "telemetry.raw": 2**20 + 2**16, "telemetry.clean": 2**20 + 2**16, "telemetry.dlq": 11 * 2**20,
        }  # fmt: skip

    def test_a_follower_can_fetch_the_largest_message(self) -> None:
        rendered = render()
        largest = max(int(topic.configs["max.message.bytes"]) for topic in read_topics(rendered).topics)
        assert int(read_properties(rendered)["replica.fetch.max.bytes"]) >= largest

    def test_a_topic_more_and_a_topic_less(self) -> None:
        settings = ("topics.list.alarms.partitions=3", "topics.list.alarms.configs.cleanup\\.policy=compact")
        topics = {
            topic.name: topic for topic in read_topics(render(*settings, "topics.list.telemetry\\.clean=null")).topics
        }
        assert set(topics) == {"telemetry.raw", "telemetry.dlq", "alarms"}
        assert topics["alarms"].partitions == 3
        assert topics["alarms"].configs["cleanup.policy"] == "compact"

    def test_numbers_are_not_written_with_exponents(self) -> None:
        topics = read_topics(
            render("topics.list.big.partitions=1", "topics.list.big.configs.retention\\.bytes=123456789012")
        ).topics
        assert {topic.configs.get("retention.bytes") for topic in topics} == {None, "123456789012"}

    @pytest.mark.parametrize(
        "setting",
        [
            "topics.list.telemetry\\.raw.partitions=12",
            "topics.list.telemetry\\.raw.configs.retention\\.ms=1000",
            "topics.waitSeconds=10",
            "kafka.replicas=3",
            "global.image.tag=dev",
            "topics.resources.requests.cpu=30m",
        ],
    )
    def test_the_jobs_name_changes_with_what_it_does(self, setting: str) -> None:
        # Kubernetes lets nobody change a Job's pod: under the old name the upgrade would fail.
        assert job_name(setting) != job_name()

    def test_the_jobs_name_stays_while_it_does_the_same(self) -> None:
        assert job_name("validator.replicas=2", "kafka-ui.enabled=false") == job_name()

    def test_it_is_no_hook(self) -> None:
        # A hook would be waited for before Kafka is there, or after a --wait that never ends.
        [job] = [item for item in render().all("Job") if "-topics-" in item["metadata"]["name"]]
        assert "annotations" not in job["metadata"]
        assert "ttlSecondsAfterFinished" not in job["spec"]

    def test_an_external_kafka_gets_three_copies_unless_told_otherwise(self) -> None:
        external = ("kafka.enabled=false", "global.externalKafka.bootstrapServers=kafka:9092")
        assert {topic.replication_factor for topic in read_topics(render(*external)).topics} == {3}
        told = read_topics(render(*external, "topics.replicationFactor=1"))
        assert {topic.replication_factor for topic in told.topics} == {1}
        assert {topic.configs["min.insync.replicas"] for topic in told.topics} == {"1"}

    def test_it_can_be_left_out(self) -> None:
        rendered = render("topics.enabled=false")
        assert not [item for item in rendered.objects if "-topics-" in item["metadata"]["name"]]


def test_the_ui_knows_its_kafka_and_its_path() -> None:
    pod = render("kafka-ui.contextPath=/ui", "kafka-ui.auth.enabled=true").pod("Deployment/hub-kafka-ui")
    environment = pod.environment
    assert environment["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"] == f"hub-kafka.{NAMESPACE}.svc:9092"
    assert environment["SERVER_SERVLET_CONTEXT_PATH"] == "/ui"
    assert environment["AUTH_TYPE"] == "LOGIN_FORM"
    assert environment["SPRING_SECURITY_USER_PASSWORD"] == "<hub-kafka-ui/password>"
    [container] = pod.spec["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ui/actuator/health"


def test_what_differs_between_nodes_is_added_at_start() -> None:
    rendered = render("kafka.replicas=3")
    properties = read_properties(rendered)
    assert {"node.id", "advertised.listeners"}.isdisjoint(properties)
    start = rendered.get("ConfigMap", "hub-kafka")["data"]["start.sh"]
    assert re.search(r"node\.id=\$NODE_ID", start)
    environment = rendered.pod("StatefulSet/hub-kafka").environment
    assert environment["NODE_ID"] == "<metadata.labels['apps.kubernetes.io/pod-index']>"
    assert environment["POD_NAME"] == "<metadata.name>"
    assert environment["ADVERTISED_HOST"] == f"$(POD_NAME).hub-kafka-headless.{NAMESPACE}.svc"
    names = list(environment)
    assert names.index("POD_NAME") < names.index("ADVERTISED_HOST")  # Kubernetes fills in only what stands before


class TestForwarding:
    """The listener that a port-forward ends at."""

    @pytest.mark.parametrize("nodes", [1, 3])
    def test_every_node_listens_where_only_a_port_forward_comes_in(self, nodes: int) -> None:
        rendered = render(f"kafka.replicas={nodes}")
        properties = read_properties(rendered)
        assert properties["listeners"].split(",") == [
            "PLAINTEXT://:9092", "CONTROLLER://:9093", "FORWARDED://127.0.0.1:19092",
        ]  # fmt: skip
        assert "FORWARDED:PLAINTEXT" in properties["listener.security.protocol.map"].split(",")
        assert properties["inter.broker.listener.name"] == "PLAINTEXT"
        ports = [port for item in rendered.all("Service") for port in item["spec"]["ports"]]
        assert all(19092 not in port.values() for port in ports)

    @pytest.mark.parametrize("node", [0, 2])
    def test_a_node_says_that_it_is_at_the_port_of_its_number(self, node: int, tmp_path: Path) -> None:
        # Given the start script and the variables of the pod, with stand-ins for Kafka's own programs
        rendered = render("kafka.replicas=3", "kafka.forwarding.port=21000")
        environment = rendered.pod("StatefulSet/hub-kafka").environment
        given = environment | {"ADVERTISED_HOST": f"hub-kafka-{node}", "NODE_ID": str(node)}
        found = advertise(rendered, given, tmp_path)
        assert found == f"PLAINTEXT://hub-kafka-{node}:9092,FORWARDED://127.0.0.1:{21000 + node}"

    def test_it_can_be_left_out(self, tmp_path: Path) -> None:
        rendered = render("kafka.forwarding.enabled=false")
        assert "FORWARDED" not in rendered.get("ConfigMap", "hub-kafka")["data"]["server.properties"]
        environment = rendered.pod("StatefulSet/hub-kafka").environment
        assert "FORWARDED_PORT" not in environment
        given = environment | {"NODE_ID": "0"}
        assert "FORWARDED" not in advertise(rendered, given, tmp_path)


def advertise(rendered: Rendered, environment: dict[str, str], folder: Path) -> str:
    """Run the start script up to the server's start and return the addresses that it tells clients."""
    data = rendered.get("ConfigMap", "hub-kafka")["data"]
    (folder / "server.properties").write_text(data["server.properties"])
    made = folder / "made.properties"
    script = (
        data["start.sh"]
        .replace("/etc/iot-hub/kafka/", f"{folder}/")
        .replace("/tmp/server.properties", str(made))
        .replace("/opt/kafka/bin/kafka-storage.sh", "true")
        .replace("exec java", "exec true")
    )
    bash = require.command("bash", "install bash")
    subprocess.run([bash, "-c", script], env=environment, check=True, timeout=30)
    properties = dict(line.split("=", 1) for line in made.read_text().splitlines())
    return properties["advertised.listeners"]
