"""docs/ingestion.md names every setting of MQTT ingestion, and no other; it and docs/http.md name every metric."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from prometheus_client.metrics import MetricWrapperBase

from ingestion import http_metrics, mqtt_metrics
from ingestion.settings import IngestionSettings, MqttSettings
from telemetry.settings import variable_name

FOLDER = Path(__file__).parents[3] / "docs"
PAGE = (FOLDER / "ingestion.md").read_text("utf-8")
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


@pytest.mark.parametrize(("module", "page"), [(mqtt_metrics, "ingestion.md"), (http_metrics, "http.md")])
def test_every_metric_is_there(module: ModuleType, page: str) -> None:
    text = (FOLDER / page).read_text("utf-8")
    metrics = [metric for metric in vars(module).values() if isinstance(metric, MetricWrapperBase)]
    assert metrics
    for metric in metrics:
        assert f"`{metric._name}" in text
