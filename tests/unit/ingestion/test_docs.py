"""docs/ingestion.md names every setting and every metric of MQTT ingestion, and no other setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from ingestion import mqtt_metrics
from ingestion.settings import IngestionSettings, MqttSettings
from telemetry.settings import variable_name

PAGE = (Path(__file__).parents[3] / "docs" / "ingestion.md").read_text("utf-8")
VARIABLES = {variable_name(cls, field) for cls in (MqttSettings, IngestionSettings) for field in cls.model_fields}


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_every_setting_is_there_with_its_default(variable: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{variable}`" in line.split("|")[1]]
    cls = MqttSettings if variable.startswith("MQTT_") else IngestionSettings
    default = cls.model_fields[variable.partition("_")[2].lower()].default
    written = {
        "session_expiry_seconds": "7 days",
        "max_in_flight_bytes": "64 MiB",
    }.get(variable.partition("_")[2].lower(), str(default).lower() if isinstance(default, bool) else default)
    if isinstance(written, tuple):
        written = ",".join(written)
    assert written is None or str(written) in row.split("|")[2]


def test_no_setting_is_there_that_nobody_reads() -> None:
    assert set(re.findall(r"\bMQTT_[A-Z_]+\b", PAGE)) <= VARIABLES


def test_every_metric_is_there() -> None:
    metrics = [metric for metric in vars(mqtt_metrics).values() if isinstance(metric, MetricWrapperBase)]
    assert len(metrics) >= 5
    for metric in metrics:
        assert f"`{metric._name}" in PAGE
