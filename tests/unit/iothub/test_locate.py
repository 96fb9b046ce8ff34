"""What a command looks into: what is named wins over what is there, and what is there over the default."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from iothub.errors import NotRunning, UsageError
from iothub.hub.folder import Folder, Lock
from iothub.hub.state import HubState, KafkaPart, MqttPart, write_state
from iothub.locate import find_local_target, open_target
from iothub.target import MqttTarget, Target, Where
from iothub.terminal import Terminal
from telemetry.kafka_config import KafkaConfig
from unit.conftest import SetVariables


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, environment: SetVariables) -> None:
    environment({"XDG_STATE_HOME": str(tmp_path)})


def run_hub(name: str = "hub", *, created: float | None = None) -> HubState:
    """Leave the state of a hub whose process is this one."""
    process = psutil.Process()
    state = HubState(
        name=name,
        pid=process.pid,
        created=process.create_time() if created is None else created,
        kafka=KafkaPart(bootstrap_servers="127.0.0.1:29092", in_memory=True),
        mqtt=MqttPart(port=21883, version=4, software="amqtt"),
        groups=("alarms",),
    )
    write_state(state)
    return state


def test_without_anything_it_is_the_usual_address() -> None:
    assert find_local_target(Where()) == Target("Kafka at localhost:9092", "localhost:9092")


def test_a_hub_that_runs_here_comes_before_the_usual_address() -> None:
    run_hub()
    target = find_local_target(Where())
    assert target.title == "the hub 'hub' on this machine"
    assert (target.bootstrap_servers, target.in_memory, target.groups) == ("127.0.0.1:29092", True, ("alarms",))
    assert target.mqtt == MqttTarget("127.0.0.1", 21883, 4)


def test_a_hub_is_found_by_its_name() -> None:
    run_hub("lab")
    assert find_local_target(Where()).bootstrap_servers == "localhost:9092"
    assert find_local_target(Where(name="lab")).bootstrap_servers == "127.0.0.1:29092"


def test_a_hub_that_is_named_is_meant(environment: SetVariables) -> None:
    environment({"KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9092"})
    with pytest.raises(NotRunning, match=r"^no hub 'lab' runs on this machine; start it with iothub up --name lab$"):
        find_local_target(Where(name="lab"))
    run_hub("lab")
    assert find_local_target(Where(name="lab")).bootstrap_servers == "127.0.0.1:29092"


def test_a_hub_that_only_starts_is_waited_for_by_whoever_asks() -> None:
    folder = Folder.of("hub")
    lock = Lock(folder)
    assert lock.take()
    try:
        with pytest.raises(NotRunning, match=r"^the hub 'hub' is starting, or about to end"):
            find_local_target(Where())
    finally:
        lock.release()


def test_a_hub_that_was_killed_is_none() -> None:
    # Given a state whose process id now belongs to another process
    run_hub(created=12345.0)
    assert find_local_target(Where()).bootstrap_servers == "localhost:9092"


def test_the_environment_comes_before_a_hub(environment: SetVariables) -> None:
    run_hub()
    environment({"KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9092"})
    target = find_local_target(Where())
    assert target == Target("Kafka at kafka.example.com:9092", "kafka.example.com:9092")


def test_what_was_typed_comes_before_the_environment(environment: SetVariables) -> None:
    environment({"KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9092"})
    assert find_local_target(Where(bootstrap_servers="typed:1")).bootstrap_servers == "typed:1"


def test_the_other_variables_hold_wherever_kafka_is(environment: SetVariables) -> None:
    environment({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9092"})
    config = find_local_target(Where(bootstrap_servers="typed:1")).load(KafkaConfig, client_id="me")
    assert (config.bootstrap_servers, config.security_protocol, config.client_id) == ("typed:1", "SSL", "me")


def test_two_kafkas_are_refused() -> None:
    with (
        pytest.raises(UsageError, match="write one of them"),
        open_target(Where(context="kind", bootstrap_servers="typed:1"), Terminal()),
    ):
        pass


def test_a_target_of_this_machine_needs_no_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    with open_target(Where(bootstrap_servers="typed:1"), Terminal(), mqtt=True) as target:
        assert target.bootstrap_servers == "typed:1"
    assert capsys.readouterr() == ("", "")


def test_a_cluster_is_named_as_it_was_typed() -> None:
    assert Where().to_cluster_options() == ""
    assert Where(context="kind-iot-hub").to_cluster_options() == "--context kind-iot-hub"
    where = Where(context="my cluster", namespace="hub", release="other")
    assert where.to_cluster_options() == "--context 'my cluster' --namespace hub --release other"
