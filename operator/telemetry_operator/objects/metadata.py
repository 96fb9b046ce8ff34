"""What everything that is made for a TelemetryConsumer has in common: its place, its labels, its owner."""

from __future__ import annotations

from typing import Any

from telemetry_operator import naming
from telemetry_operator.spec import Consumer


def build_metadata(consumer: Consumer, name: str) -> dict[str, Any]:
    """Return the metadata of an object that goes with ``consumer``, by its owner reference."""
    key = consumer.key
    return {
        "name": name,
        "namespace": key.namespace,
        "labels": naming.object_labels(key),
        "ownerReferences": [
            {
                "apiVersion": f"{naming.GROUP}/{naming.VERSION}",
                "kind": naming.KIND,
                "name": key.name,
                "uid": consumer.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
