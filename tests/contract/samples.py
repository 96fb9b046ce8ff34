"""TelemetryConsumers for the contract tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))


def manifest(name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a manifest; ``spec`` is laid over a least one, and a field that is None is left out."""
    merged = {"topics": ["telemetry.raw"], "handler": {"name": "logger"}, **(spec or {})}
    return {
        "apiVersion": "telemetry.iot-hub.io/v1alpha1",
        "kind": "TelemetryConsumer",
        "metadata": {"name": name, **metadata},
        "spec": {field: value for field, value in merged.items() if value is not None},
    }


def load_examples() -> list[dict[str, Any]]:
    """Return every TelemetryConsumer of the examples."""
    documents = [document for path in EXAMPLES for document in yaml.safe_load_all(path.read_text())]
    return [document for document in documents if document and document["kind"] == "TelemetryConsumer"]
