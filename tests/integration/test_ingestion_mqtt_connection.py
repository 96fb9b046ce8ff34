"""How MQTT ingestion reaches its broker: TLS, client certificates, websockets, and what the broker says of itself."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from math import isnan
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from integration_helpers import OurProcess, headers_of, read_topic
from support.certificates import Certificates
from support.kafka_broker import KafkaBroker
from support.mosquitto import OPEN_CONFIG, Mosquitto
from support.plugin import MosquittoFactory
from support.waiting import wait_until

Start = Callable[..., OurProcess]
STORED = "iothub_ingestion_broker_stored_messages "

TLS_CONFIG = (
    OPEN_CONFIG
    + """
listener {port2} 127.0.0.1
cafile {folder}/../ca.pem
certfile {folder}/../server.pem
keyfile {folder}/../server.key
require_certificate true
"""
)
ACCOUNT_CONFIG = TLS_CONFIG.replace("allow_anonymous true", "allow_anonymous false") + (
    "protocol websockets\npassword_file {folder}/../users\n"
)
"""As strict as can be: websockets over TLS, a client's certificate and a password."""
WEBSOCKET_CONFIG = (
    OPEN_CONFIG
    + """
listener {port2} 127.0.0.1
protocol websockets
"""
)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
def settings(kafka: KafkaBroker, topic: str, dlq: str) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "INGESTION_TOPIC": topic,
        "INGESTION_DLQ_TOPIC": dlq,
        "MQTT_HOST": "127.0.0.1",
        "MQTT_CLIENT_ID": "ingestion-0",
    }


def publish(broker: Mosquitto, count: int, size: int = 100) -> None:
    """Publish messages of ``size`` bytes to the broker's open port, each acknowledged."""
    client = Client(CallbackAPIVersion.VERSION2, "device", protocol=MQTTv5)
    client.max_inflight_messages_set(500)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for info in [client.publish("telemetry/DEV-01", f"{number:0{size}}", qos=1) for number in range(count)]:
        info.wait_for_publish(30)
        assert info.is_published()
    client.disconnect()
    client.loop_stop()


def expect(kafka: KafkaBroker, topic: str, process: OurProcess, count: int, size: int = 100) -> None:
    """Wait until all that `publish` has sent is in the topic."""
    wanted = {f"{number:0{size}}".encode() for number in range(count)}
    wait_until(
        lambda: {message.value() for message in read_topic(kafka, topic)} == wanted, hint=lambda: process.log[-3000:]
    )


def ask(process: OurProcess, path: str) -> str:
    """Return what the process answers its probes, whatever the status, and nothing while it does not listen."""
    try:
        with urlopen(f"http://127.0.0.1:{process.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except HTTPError as error:
        return error.read().decode()
    except URLError:
        return ""


def ready(process: OurProcess) -> None:
    wait_until(lambda: '"event":"subscribed"' in process.log, hint=lambda: process.log)


class TestTls:
    def test_a_client_certificate_opens_the_door(
        self,
        kafka: KafkaBroker,
        topic: str,
        certificates: Certificates,
        mosquitto_factory: MosquittoFactory,
        settings: dict[str, str],
        start_process: Start,
    ) -> None:
        broker = mosquitto_factory(TLS_CONFIG)
        settings |= {"MQTT_PORT": str(broker.port2), "MQTT_TLS_CA": certificates.path("ca.pem")}
        # Without one, the broker does not let us in, and that is seen.
        bare = start_process("ingestion.mqtt", **settings)
        wait_until(lambda: "disconnected" in bare.log or "can't reach" in bare.log, hint=lambda: bare.log)
        assert '"event":"connected"' not in bare.log
        assert bare.terminate() == 0
        # With one, more messages than fit into a TLS record come and are acknowledged.
        process = start_process(
            "ingestion.mqtt",
            **settings,
            MQTT_TLS_CERT=certificates.path("client.pem"),
            MQTT_TLS_KEY=certificates.path("client.key"),
        )
        ready(process)
        publish(broker, 5000)
        expect(kafka, topic, process, 5000)
        assert process.terminate() == 0
        assert '"unacknowledged":0' in process.log

    def test_a_broker_that_somebody_else_has_signed_for_is_not_spoken_to(
        self,
        certificates: Certificates,
        mosquitto_factory: MosquittoFactory,
        settings: dict[str, str],
        start_process: Start,
    ) -> None:
        broker = mosquitto_factory(TLS_CONFIG)
        process = start_process("ingestion.mqtt", **settings, MQTT_PORT=str(broker.port2), MQTT_TLS="true")
        wait_until(lambda: "can't reach the broker" in ask(process, "/readyz"), hint=lambda: process.log)
        assert "certificate verify failed" in ask(process, "/readyz")
        assert process.terminate() == 0

    def test_a_password_and_a_websocket_go_with_it(
        self,
        kafka: KafkaBroker,
        topic: str,
        certificates: Certificates,
        mosquitto_factory: MosquittoFactory,
        settings: dict[str, str],
        start_process: Start,
    ) -> None:
        """Given a broker that wants all of it, and several filters, then each device is read under its own name."""
        users = Path(certificates.path("users"))
        users.write_text("ingestion:secret\ndevice:secret\n")
        subprocess.run(["mosquitto_passwd", "-U", str(users)], check=True, capture_output=True)
        broker = mosquitto_factory(ACCOUNT_CONFIG)
        settings |= {
            "MQTT_PORT": str(broker.port2),
            "MQTT_TRANSPORT": "websockets",
            "MQTT_TLS_CA": certificates.path("ca.pem"),
            "MQTT_TLS_CERT": certificates.path("client.pem"),
            "MQTT_TLS_KEY": certificates.path("client.key"),
            "MQTT_USERNAME": "ingestion",
            "MQTT_TOPICS": "telemetry/+,+/devices/#",
            "MQTT_DEVICE_TEMPLATE": "telemetry/{device},+/devices/{device}/#",
        }
        stranger = start_process("ingestion.mqtt", **settings, MQTT_PASSWORD="wrong")
        wait_until(lambda: "refuses the connection" in ask(stranger, "/readyz"), hint=lambda: stranger.log)
        assert stranger.terminate() == 0
        assert "wrong" not in stranger.log
        process = start_process("ingestion.mqtt", **settings, MQTT_PASSWORD="secret")
        ready(process)
        device = Client(CallbackAPIVersion.VERSION2, "device", protocol=MQTTv5)
        device.username_pw_set("device", "secret")
        device.connect("127.0.0.1", broker.port)
        device.loop_start()
        topics = ["telemetry/A", "plant/devices/B", "plant/devices/C/state/temperature", "nobody/reads/this"]
        for number, name in enumerate(topics * 500):
            info = device.publish(name, f"{number}", qos=1)
        info.wait_for_publish(30)
        device.disconnect()
        device.loop_stop()
        wait_until(lambda: len(values(kafka, topic)) == 1500, hint=lambda: process.log[-3000:])
        found = Counter((message.key(), headers_of(message)["mqtt_topic"]) for message in read_topic(kafka, topic))
        assert found == {(b"A", topics[0]): 500, (b"B", topics[1]): 500, (b"C", topics[2]): 500}
        assert process.terminate() == 0
        assert '"unacknowledged":0' in process.log

    @pytest.mark.parametrize("variable", ["MQTT_TLS_CA", "MQTT_TLS_CERT"])
    def test_a_file_that_is_not_there_is_named_at_start(
        self, variable: str, settings: dict[str, str], start_process: Start
    ) -> None:
        process = start_process("ingestion.mqtt", **settings, **{variable: "/nowhere.pem"})
        wait_until(lambda: process.returncode is not None, hint=lambda: process.log)
        assert process.returncode == 78
        assert f"{variable}: can't" in process.log


def test_websockets_carry_it_too(
    kafka: KafkaBroker,
    topic: str,
    mosquitto_factory: MosquittoFactory,
    settings: dict[str, str],
    start_process: Start,
) -> None:
    broker = mosquitto_factory(WEBSOCKET_CONFIG)
    process = start_process(
        "ingestion.mqtt",
        **settings,
        MQTT_PORT=str(broker.port2),
        MQTT_TRANSPORT="websockets",
    )
    ready(process)
    publish(broker, 2000, size=300)
    expect(kafka, topic, process, 2000, size=300)
    assert process.terminate() == 0
    assert '"unacknowledged":0' in process.log


def test_the_brokers_limits_are_told(
    mosquitto_factory: MosquittoFactory, settings: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory(OPEN_CONFIG + "\nretain_available false\nmax_keepalive 20\n")
    process = start_process("ingestion.mqtt", **settings, MQTT_PORT=str(broker.port))
    ready(process)
    assert '"maximum_packet_size":12000000' in process.log
    assert "the broker retains nothing" in process.log
    metrics = ask(process, "/metrics")
    assert 'iothub_ingestion_broker_limit{limit="maximum_packet_size"} 1.2e+07' in metrics
    assert 'iothub_ingestion_broker_limit{limit="retain_available"} 0.0' in metrics
    assert "iothub_ingestion_mqtt_connected 1.0" in metrics
    assert process.terminate() == 0


def test_how_much_the_broker_holds_is_told(
    kafka: KafkaBroker, topic: str, mosquitto_factory: MosquittoFactory, settings: dict[str, str], start_process: Start
) -> None:
    """Given messages that wait for another ingester, then the broker's own count of them is a metric."""
    broker = mosquitto_factory(OPEN_CONFIG + "\nsys_interval 1\n")
    settings |= {"MQTT_PORT": str(broker.port)}
    away = start_process("ingestion.mqtt", **settings | {"MQTT_CLIENT_ID": "away-0"})
    ready(away)
    away.kill()
    process = start_process("ingestion.mqtt", **settings, MQTT_STORED_TOPIC="$SYS/broker/store/messages/count")
    ready(process)

    def find_held() -> float:
        [line] = [line for line in ask(process, "/metrics").splitlines() if line.startswith(STORED)]
        return float(line.split()[1])

    wait_until(lambda: find_held() > 0, hint=lambda: process.log)
    before = find_held()
    publish(broker, 700)
    wait_until(lambda: find_held() >= before + 700, hint=lambda: process.log)
    expect(kafka, topic, process, 700)  # and none of it is taken for telemetry
    broker.kill()
    wait_until(lambda: isnan(find_held()), hint=lambda: process.log)
    assert process.terminate() == 0


def test_a_broker_that_promises_nothing_shows_in_readiness(
    mosquitto_factory: MosquittoFactory, settings: dict[str, str], start_process: Start
) -> None:
    broker = mosquitto_factory(OPEN_CONFIG + "\nmax_qos 0\n")
    process = start_process("ingestion.mqtt", **settings, MQTT_PORT=str(broker.port))
    wait_until(lambda: "only QoS 0" in ask(process, "/readyz"), hint=lambda: process.log)
    assert '"event":"subscribed"' not in process.log
    assert process.terminate() == 0


@pytest.mark.parametrize(
    ("variables", "blamed"),
    [
        ({"KAFKA_QUEUE_MAX_MESSAGES": "500"}, "MQTT_RECEIVE_MAXIMUM is 1000, more than the 500 messages"),
        ({"KAFKA_QUEUE_MAX_KBYTES": "70000"}, "MQTT_MAX_IN_FLIGHT_BYTES is 67108864"),
    ],
)
def test_a_window_that_does_not_fit_into_the_producers_queue_is_refused_at_start(
    variables: dict[str, str], blamed: str, settings: dict[str, str], start_process: Start
) -> None:
    process = start_process("ingestion.mqtt", **settings, **variables)
    wait_until(lambda: process.returncode is not None, hint=lambda: process.log)
    assert process.returncode == 78
    assert blamed in process.log


def test_retained_messages_are_marked_or_left_out(
    kafka: KafkaBroker,
    topic: str,
    mosquitto_factory: MosquittoFactory,
    settings: dict[str, str],
    start_process: Start,
) -> None:
    broker = mosquitto_factory()
    device = Client(CallbackAPIVersion.VERSION2, "device", protocol=MQTTv5)
    device.connect("127.0.0.1", broker.port)
    device.loop_start()
    device.publish("telemetry/DEV-01", "kept", qos=1, retain=True).wait_for_publish(10)
    settings |= {"MQTT_PORT": str(broker.port)}
    for protocol in ("5", "3.1.1"):
        # Left out: a fresh one that is retained too is not.
        leaves_out = start_process(
            "ingestion.mqtt",
            **settings | {"MQTT_CLIENT_ID": f"leaves-out-{protocol}"},
            MQTT_RETAINED="skip",
            MQTT_PROTOCOL=protocol,
        )
        ready(leaves_out)
        device.publish("telemetry/DEV-02", f"fresh {protocol}", qos=1, retain=False).wait_for_publish(10)
        expected = [f"fresh {each}".encode() for each in ("5", "3.1.1")[: 1 if protocol == "5" else 2]]
        wait_until(lambda: sorted(values(kafka, topic)) == sorted(expected), hint=lambda: leaves_out.log)  # noqa: B023
        assert leaves_out.terminate() == 0
        assert '"unacknowledged":0' in leaves_out.log
    marks = start_process("ingestion.mqtt", **settings | {"MQTT_CLIENT_ID": "marks"})
    wait_until(lambda: b"kept" in values(kafka, topic), hint=lambda: marks.log)
    found = {message.value(): headers_of(message) for message in read_topic(kafka, topic)}
    assert found[b"kept"]["mqtt_retained"] == "true"
    assert "mqtt_retained" not in found[b"fresh 5"]
    device.disconnect()
    device.loop_stop()


def values(kafka: KafkaBroker, topic: str) -> list[bytes]:
    return [message.value() or b"" for message in read_topic(kafka, topic)]


def test_a_thread_that_dies_takes_the_process_with_it(settings: dict[str, str], start_process: Start) -> None:
    """Given a host's name that the resolver can't even encode, then the process ends rather than wait for ever."""
    process = start_process("ingestion.mqtt", **settings | {"MQTT_HOST": "a" * 64 + ".example"})
    wait_until(lambda: process.returncode is not None, hint=lambda: process.log)
    assert process.returncode == 70
    assert "the thread that reads from the broker has ended" in process.log


def test_a_broker_that_is_away_is_asked_more_and_more_rarely(settings: dict[str, str], start_process: Start) -> None:
    process = start_process("ingestion.mqtt", **settings, MQTT_PORT="1")

    def find_times() -> list[datetime]:
        lines = [json.loads(line) for line in process.log.splitlines() if "can't reach the broker" in line]
        return [datetime.fromisoformat(line["time"]) for line in lines]

    wait_until(lambda: len(find_times()) >= 4, hint=lambda: process.log)
    waits = [(after - before).total_seconds() for before, after in pairwise(find_times())]
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]
    assert process.terminate() == 0
