"""The CRD's defaults, written out as the API server writes them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from iothub.manifests.crd import Schema, load_crd
from iothub.manifests.schema import prune


def apply_defaults(body: Mapping[str, Any], schema: Schema | None = None) -> dict[str, Any]:
    """Return ``body`` as the API server would keep it: defaults written out, unknown fields and empty nulls gone.

    ``schema`` is the TelemetryConsumer's where none is given.
    """
    known = load_crd().schema if schema is None else schema
    kept: dict[str, Any] = copy.deepcopy(prune(dict(body), known))
    _default(kept, known)
    return kept


def _default(value: Any, schema: Schema) -> None:
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            # The metadata's schema has none, and a null is as good as nothing where the field can't be null.
            if "default" in below and (key not in value or (value[key] is None and not below.get("nullable"))):
                value[key] = copy.deepcopy(below["default"])
        for key, member in value.items():
            found = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            if isinstance(found, dict):
                _default(member, found)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            _default(item, schema["items"])
