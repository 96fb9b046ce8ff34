"""A snapshot with something in every section, for tests that render it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from iothub.demo.snapshot import ConsumerLine, DeadLetterLine, Flow, ReadingLine, Snapshot

NOW = datetime(2026, 2, 20, 22, 45, 12, tzinfo=UTC)

SNAPSHOT = Snapshot(
    title="iothub demo: 20 devices, 50 messages a second, 2% of them damaged",
    places=(("Kafka", "in memory, at 127.0.0.1:41233"), ("MQTT", "amqtt 0.11.3 at 127.0.0.1:18830")),
    limits=("Kafka is in memory: what is in it ends with this run.", "amqtt loses what is in flight when killed."),
    flows=(
        Flow("sent", 1_150, 50.0, (48.0, 52.0, 50.0)),
        Flow("acknowledged", 1_149, 49.9, (48.0, 51.0, 50.0)),
        Flow("telemetry.raw", 1_148, 49.8, (0.0, 60.0, 50.0)),
        Flow("telemetry.clean", 1_127, 48.9, (0.0, 60.0, 50.0)),
        Flow("telemetry.dlq", 21, 1.1, (0.0, 1.0, 1.0)),
    ),
    consumers=(
        ConsumerLine("iot-hub-validator", 1, 1, 0),
        ConsumerLine("telemetry-raw-logger", 2, 2, 1_234),
        ConsumerLine("temperature-alarm", 0, 1, None, "waits for its partitions"),
    ),
    dead_letters=(
        DeadLetterLine("not_json", 9, "NaN at character 88 is no JSON number: only finite numbers are"),
        DeadLetterLine("bad_metrics", 6, "'metrics.temperature' must be a number or a boolean"),
        DeadLetterLine("missing_field", 4, "the field 'ts' is missing"),
        DeadLetterLine("unsupported_schema_version", 2, "'schema_version' is 99; known versions: 1"),
    ),
    readings=tuple(
        ReadingLine(NOW - timedelta(seconds=number), f"DEV-{number:04}", {"temperature": 21.37, "door_open": False})
        for number in range(1, 40)
    ),
    readings_from="telemetry.clean",
    now="devices publish",
    passed=23.4,
    seconds=60,
    awaited=3,
)

EMPTY = Snapshot(
    title="iothub demo",
    places=(),
    limits=(),
    flows=(),
    consumers=(),
    dead_letters=(),
    readings=(),
    readings_from="telemetry.raw",
    now="starting",
    passed=0,
    seconds=60,
)
