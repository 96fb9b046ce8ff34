"""MQTT ingestion and its peers as processes: how each is started, and what a session of its own looks like."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from benchmarks.bench import Bench
from benchmarks.child import Child
from benchmarks.environments import PeerEnvironment
from benchmarks.go import CACHE, run_go

TELEGRAF, MQ_BRIDGE = "Telegraf", "mq-bridge"
_TELEGRAF_VERSION = "v1.37.2"
_TELEGRAF_TAGS = "custom,inputs.mqtt_consumer,outputs.kafka,parsers.value,serializers.influx,serializers.template"
_MQ_BRIDGE = PeerEnvironment("ingestion_mqtt")


@dataclass(frozen=True, slots=True)
class Place:
    """Between which broker and which topics a contender stands."""

    mqtt_port: int
    bootstrap_servers: str
    topic: str
    dlq: str
    window: int = 1000
    linger_ms: float | None = None
    """None: the contender's default."""


@dataclass(frozen=True)
class Contender:
    """A program that brings MQTT into Kafka."""

    name: str
    client_id: str
    version: int
    """Version of MQTT that it speaks, as CONNECT numbers it."""
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    window: int = 1000

    def start(self, bench: Bench) -> Child:
        """Start it; leaving its ``with`` block ends it."""
        return Child(self.name, self.command, environment=self.environment, log=bench.log(self.name))


def build_ours(place: Place) -> Contender:
    """Return ``python -m ingestion.mqtt``, as a pod runs it."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": place.bootstrap_servers,
        "INGESTION_TOPIC": place.topic,
        "INGESTION_DLQ_TOPIC": place.dlq,
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(place.mqtt_port),
        "MQTT_CLIENT_ID": "bench-ours-0",
        "MQTT_RECEIVE_MAXIMUM": str(place.window),
        "HTTP_PORT": "0",
        "LOG_LEVEL": "WARNING",
    }
    if place.linger_ms is not None:
        environment["KAFKA_LINGER_MS"] = str(place.linger_ms)
    return Contender("ours", "bench-ours-0", 5, (sys.executable, "-m", "ingestion.mqtt"), environment, place.window)


def build_telegraf(bench: Bench, place: Place) -> Contender:
    """Return Telegraf, acknowledging once Kafka has a message. Builds it where that was not done yet."""
    config = bench.folder / "telegraf.conf"
    config.write_text(f"""\
[agent]
  omit_hostname = true
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  flush_interval = "10ms"
  flush_jitter = "0s"
  quiet = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://127.0.0.1:{place.mqtt_port}"]
  topics = ["telemetry/+"]
  qos = 1
  persistent_session = true
  client_id = "bench-telegraf"
  max_undelivered_messages = {place.window}
  data_format = "value"
  data_type = "string"
[[outputs.kafka]]
  brokers = ["{place.bootstrap_servers}"]
  topic = "{place.topic}"
  routing_tag = "topic"
  required_acks = -1
  idempotent_writes = false
  compression_codec = 3
  data_format = "template"
  template = '{{{{.Field "value"}}}}'
""")
    return Contender(TELEGRAF, "bench-telegraf", 4, (str(build_telegraf_program()), "--config", str(config)))


def build_mq_bridge(bench: Bench, place: Place) -> Contender:
    """Return mq-bridge's route, acknowledging once Kafka has a message."""
    route = {
        "input": {
            "mqtt": {
                "url": f"tcp://127.0.0.1:{place.mqtt_port}",
                "topic": "telemetry/+",
                "client_id": "bench-mq-bridge",
                "qos": 1,
                "clean_session": False,
                "session_expiry_interval": 3600,
                "max_inflight": place.window,
                "queue_capacity": place.window,
            }
        },
        "output": {
            "kafka": {
                "url": place.bootstrap_servers,
                "topic": place.topic,
                "create_topic": False,
                "producer_options": [["acks", "all"], ["compression.type", "lz4"], ["linger.ms", "5"]],
            }
        },
        "batch_size": place.window,
    }
    program = (
        "import sys, signal; from mq_bridge import Route; signal.signal(signal.SIGTERM, lambda *_: sys.exit());"
        "Route.from_str(sys.argv[1]).run()"
    )
    command = (str(_MQ_BRIDGE.python), "-c", program, orjson.dumps(route).decode())
    return Contender(MQ_BRIDGE, "bench-mq-bridge", 5, command, window=place.window)


def find_peer_versions() -> dict[str, str]:
    """Return the peers' versions."""
    return {"telegraf": _TELEGRAF_VERSION.removeprefix("v"), **_MQ_BRIDGE.find_versions("mq-bridge")}


def build_telegraf_program() -> Path:
    """Return the Telegraf program with what this takes of it, built once. Raises BenchmarkFailed."""
    folder = CACHE / f"telegraf-{_TELEGRAF_VERSION}"
    program = folder / "telegraf"
    if program.is_file():
        return program
    package = f"github.com/influxdata/telegraf/cmd/telegraf@{_TELEGRAF_VERSION}"
    run_go(["install", "-tags", _TELEGRAF_TAGS, package], TELEGRAF, environment={"GOBIN": str(folder)})
    return program
