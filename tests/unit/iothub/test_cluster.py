"""--context: what is found on a cluster, what is forwarded, and one sentence for all that can be in the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from iothub import cluster
from iothub.cluster import Needs, open_release, plan_kafka_routes, read_groups, read_release
from iothub.errors import CliError, NotRunning, NotSupported, Unavailable, UsageError
from iothub.forwards import Forwards, Route
from iothub.kubectl import find_kubectl
from iothub.target import Target
from iothub.terminal import Terminal
from support.ports import free_port
from support.waiting import wait_until
from unit.iothub.stand_in import KubectlStandIn, make_http_pod, make_kafka_pod, make_mqtt_pod, make_pod, make_secret

KAFKA, MQTT, HTTP = Needs(), Needs(kafka=False, mqtt=True), Needs(kafka=False, http=True)
TC = "telemetryconsumers.telemetry.iot-hub.io"

# A command that looks into a cluster and says where, until it is ended. Under nohup it would not hear of a SIGHUP.
COMMAND = """
import signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from iothub.forwards import Forwards, Route
from iothub.kubectl import find_kubectl
from iothub.cluster import _ended_in_order
with _ended_in_order():
    forwards = Forwards(find_kubectl("plant", None), [Route("pod/kafka-0", int(sys.argv[1]), 19092, "free it")])
    try:
        forwards.start()
        print("up", flush=True)
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        forwards.end()
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubectlStandIn:
    folder = tmp_path / "bin"
    folder.mkdir()
    stand_in = KubectlStandIn(folder)
    monkeypatch.setenv("PATH", stand_in.path)
    return stand_in


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def command(port: int, kubectl: KubectlStandIn) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", COMMAND, str(port)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def forwarders(port: int) -> list[psutil.Process]:
    """Return the processes that forward a port."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-1:] == [f"{port}:19092"] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def opened(needs: Needs, *, context: str = "plant", namespace: str | None = None) -> Iterator[Target]:
    with open_release(context, namespace, "iot-hub", Terminal(), needs) as target:
        yield target


def refuse(needs: Needs = KAFKA, **where: Any) -> CliError:
    """Return the error that opening the release ends with."""
    with pytest.raises(CliError) as refusal, opened(needs, **where):
        pass
    assert "\n" not in str(refusal.value)
    return refusal.value


class TestFinding:
    """The release is found, or what was looked for is said."""

    def test_kubectl_is_missing(self, kubectl: KubectlStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        error = refuse()
        assert isinstance(error, Unavailable)
        assert "needs kubectl" in str(error)
        assert "https://kubernetes.io/docs/tasks/tools/" in str(error)

    def test_there_is_no_such_context(self, kubectl: KubectlStandIn) -> None:
        error = refuse(context="nope")
        assert isinstance(error, UsageError)
        assert str(error) == "kubectl has no context 'nope'; there are: home, plant"

    def test_the_contexts_own_namespace_is_taken_unless_one_is_named(self, kubectl: KubectlStandIn) -> None:
        assert [find_kubectl(context, None).namespace for context in ("plant", "home")] == ["hub", "default"]
        assert find_kubectl("plant", "other").namespace == "other"

    def test_there_is_no_such_release(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_pod("x-kafka-0", "kafka", release="x", namespace="elsewhere")]
        kubectl.write()
        error = refuse()
        assert isinstance(error, NotRunning)
        assert "'iot-hub' is in namespace 'hub' of context 'plant'" in str(error)
        assert "there is x in namespace elsewhere: name it with --release and --namespace" in str(error)

    def test_who_may_not_look_everywhere_is_told_what_was_looked_for(self, kubectl: KubectlStandIn) -> None:
        kubectl.fail("everywhere", "Error from server (Forbidden): no")
        assert str(refuse()).endswith("is in namespace 'hub' of context 'plant'; install it")

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            (
                'Error from server (Forbidden): pods is forbidden: User "me" cannot list resource "pods"',
                "context 'plant' may not read pods in namespace hub: pods is forbidden: User \"me\" cannot list "
                'resource "pods"',
            ),
            (
                "E1125 x\nUnable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout",
                "the cluster of context 'plant' does not answer (dial tcp 10.0.0.1:6443: i/o timeout)",
            ),
            (
                "error: You must be logged in to the server (Unauthorized)",
                "context 'plant' may not read pods in namespace hub: You must be logged in to the server "
                "(Unauthorized)",
            ),
        ],
    )
    def test_what_the_cluster_refuses_is_one_sentence(self, said: str, sentence: str, kubectl: KubectlStandIn) -> None:
        kubectl.fail("pods", said)
        error = refuse()
        assert isinstance(error, Unavailable)
        assert str(error) == sentence


class TestKafka:
    """Every node has its route; where there can be none, the sentence says what to do."""

    def test_every_node_gets_the_port_that_it_says_it_is_at(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_kafka_pod(21000, node) for node in range(3)]
        kubectl.write()
        routes = plan_kafka_routes(read_release(find_kubectl("plant", None), "iot-hub"))
        assert [(route.to, route.port, route.remote_port) for route in routes] == [
            (f"pod/iot-hub-kafka-{node}", 21000 + node, 19092) for node in range(3)
        ]

    def test_a_node_that_is_down_is_left_out(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_kafka_pod(21000, 0, phase="Pending"), make_kafka_pod(21000, 1)]
        kubectl.write()
        routes = plan_kafka_routes(read_release(find_kubectl("plant", None), "iot-hub"))
        assert [route.port for route in routes] == [21001]

    def test_no_node_is_up(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_kafka_pod(21000, phase="Pending")]
        kubectl.write()
        assert "pod iot-hub-kafka-0 is Pending; see iothub doctor --context plant" in str(refuse())

    def test_an_external_kafka_is_named(self, kubectl: KubectlStandIn) -> None:
        env = [{"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "kafka.example.com:9093"}]
        kubectl.listed["pods"] = [make_pod("iot-hub-ingestion-mqtt-0", "ingestion", env=env)]
        kubectl.write()
        error = refuse()
        assert isinstance(error, NotSupported)
        assert "name it with --bootstrap-servers kafka.example.com:9093" in str(error)

    def test_a_release_without_the_listener_has_to_be_upgraded(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_pod("iot-hub-kafka-0", "kafka")]
        kubectl.write()
        assert "kafka.forwarding.enabled=true" in str(refuse())

    def test_a_port_that_is_taken_is_named_with_its_holder(self, kubectl: KubectlStandIn, port: int) -> None:
        kubectl.listed["pods"] = [make_kafka_pod(port)]
        kubectl.write()
        with socket.create_server(("127.0.0.1", port)):
            error = str(refuse())
        assert f"port {port} of this machine is taken by" in error
        assert f"(process {os.getpid()})" in error
        assert "kafka.forwarding.port" in error

    def test_a_forward_that_fails_says_what_kubectl_said(
        self, kubectl: KubectlStandIn, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("iothub.forwards.START_SECONDS", 1.0)
        kubectl.listed["pods"] = [make_kafka_pod(port)]
        kubectl.write()
        kubectl.fail_forwards("error: unable to forward port because pod is not running")
        assert "pod/iot-hub-kafka-0: error: unable to forward port because pod is not running" in str(refuse())

    def test_a_kafka_that_does_not_answer_is_no_target(
        self, kubectl: KubectlStandIn, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Given a forward that is up, and nothing of Kafka behind it
        monkeypatch.setattr("iothub.forwards.START_SECONDS", 1.0)
        kubectl.listed["pods"] = [make_kafka_pod(port)]
        kubectl.write()
        assert "Kafka does not answer" in str(refuse())
        assert forwarders(port) == []


class TestMqtt:
    """The broker and the devices' account, for those who play devices and nobody else."""

    def test_the_account_is_read_where_it_is_needed(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_mqtt_pod()]
        kubectl.found["secret"] = make_secret(username="devices", password="secret")
        kubectl.write()
        with opened(MQTT) as target:
            assert target.title == "release iot-hub on context plant"
            assert target.mqtt is not None
            assert target.mqtt.username == "devices"
            assert target.mqtt.password is not None
            assert target.mqtt.password.get_secret_value() == "secret"
            assert "secret" not in repr(target)
            with socket.create_connection(("127.0.0.1", target.mqtt.port)):
                pass
        assert "get secret account" in " ".join(kubectl.calls())

    def test_nobody_else_reads_a_secret(
        self, kubectl: KubectlStandIn, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(cluster, "_answers", lambda address: True)
        kubectl.listed["pods"] = [make_kafka_pod(port), make_mqtt_pod()]
        kubectl.write()
        with opened(KAFKA) as target:
            assert target.bootstrap_servers == f"127.0.0.1:{port}"
            assert target.mqtt is None
        calls = kubectl.calls()
        assert not [call for call in calls if "secret" in call]
        assert [call.split()[-1] for call in calls if "port-forward" in call] == [f"{port}:19092"]

    def test_a_broker_that_devices_may_not_reach_yet_is_not_reached(self, kubectl: KubectlStandIn) -> None:
        # A port-forward goes past the Service, which has no endpoint yet.
        kubectl.listed["pods"] = [make_mqtt_pod(ready=False)]
        kubectl.write()
        assert "not open for devices yet" in str(refuse(MQTT))

    def test_an_external_broker_has_to_be_named(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_pod("iot-hub-operator-x", "operator")]
        kubectl.write()
        assert "--mqtt-host" in str(refuse(MQTT))


class TestHttp:
    """HTTP ingestion and its key, for those who play devices and nobody else."""

    def test_the_key_is_read_where_it_is_needed(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_mqtt_pod(), make_http_pod("a", ready=False), make_http_pod("b")]
        kubectl.found["secret"] = make_secret(key="secret")
        kubectl.write()
        with opened(HTTP) as target:
            assert target.http is not None
            assert target.http.api_key is not None
            assert target.http.api_key.get_secret_value() == "secret"
            assert "secret" not in repr(target)
            with socket.create_connection(("127.0.0.1", int(target.http.url.rsplit(":", 1)[1]))):
                pass
        calls = " ".join(kubectl.calls())
        assert "get secret iot-hub-ingestion-http-api-key" in calls
        assert "127.0.0.1 pod/b" in calls

    def test_keys_of_somebody_elses_making_are_not_known(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_http_pod("b")]
        kubectl.found["secret"] = None
        kubectl.write()
        with opened(HTTP) as target:
            assert target.http is not None
            assert target.http.api_key is None

    def test_a_release_without_it_says_how_to_get_it(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_pod("iot-hub-ingestion-mqtt-0", "ingestion")]
        kubectl.write()
        assert "ingestion.http.enabled=true" in str(refuse(HTTP))

    def test_one_that_is_not_ready_is_not_reached(self, kubectl: KubectlStandIn) -> None:
        kubectl.listed["pods"] = [make_http_pod("b", ready=False)]
        kubectl.write()
        assert "is not ready; see iothub doctor --context plant" in str(refuse(HTTP))


class TestGroups:
    """The groups of the TelemetryConsumers, named or not."""

    def test_they_are_read(self, kubectl: KubectlStandIn) -> None:
        named = {"metadata": {"name": "a", "namespace": "hub"}, "spec": {"groupId": "alarms"}}
        unnamed = {"metadata": {"name": "b", "namespace": "hub"}, "spec": {}}
        kubectl.listed[TC] = [named, unnamed]
        kubectl.write()
        assert read_groups(find_kubectl("plant", None)) == ("alarms", "hub.b")

    def test_who_may_not_read_them_goes_without(self, kubectl: KubectlStandIn) -> None:
        kubectl.fail(TC, "Error from server (Forbidden): no")
        assert read_groups(find_kubectl("plant", None)) == ()


class TestForwards:
    """A forward lasts as long as its command: not shorter, not longer."""

    def test_one_that_dies_is_started_again(self, kubectl: KubectlStandIn, port: int) -> None:
        forwards = Forwards(find_kubectl("plant", None), [Route("pod/kafka-0", port, 19092, "free it")])
        try:
            forwards.start()
            [first] = forwarders(port)
            first.kill()
            [second] = wait_until(lambda: [p for p in forwarders(port) if p.pid != first.pid], what="another forward")
            assert second.is_running()
        finally:
            forwards.end()
        assert forwarders(port) == []

    def test_two_commands_share_one_and_the_second_takes_over(
        self, port: int, command: Callable[[], subprocess.Popen[str]]
    ) -> None:
        first, second = command(), command()
        [shared] = forwarders(port)
        assert shared.ppid() == first.pid
        first.terminate()
        assert first.wait(20) == 143
        own = wait_until(lambda: [p for p in forwarders(port) if p.ppid() == second.pid], what="its own forward")
        assert len(own) == 1

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
    def test_it_ends_with_the_command(
        self, number: signal.Signals, code: int, port: int, command: Callable[[], subprocess.Popen[str]]
    ) -> None:
        process = command()
        assert len(forwarders(port)) == 1
        process.send_signal(number)
        assert process.wait(20) == code
        assert forwarders(port) == []

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
    def test_it_does_not_outlive_a_killed_command(
        self, port: int, command: Callable[[], subprocess.Popen[str]]
    ) -> None:
        process = command()
        assert len(forwarders(port)) == 1
        process.kill()
        wait_until(lambda: forwarders(port) == [], what="the forward to end")
