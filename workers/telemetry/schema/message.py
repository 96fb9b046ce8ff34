"""A telemetry message in its normal form, whatever version of the schema it came in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson


@dataclass(slots=True)
class Telemetry:
    """What a device said at one moment.

    ``device`` is its id, ``metrics`` maps names to finite numbers or booleans, ``ts`` is the moment in UTC, and
    ``extra`` holds the fields that the schema does not know.
    """

    schema_version: int
    device: str
    metrics: dict[str, float | bool]
    ts: datetime
    extra: dict[str, Any]

    def encode(self) -> bytes:
        """Return the value of the clean record: JSON, with ``ts`` as RFC 3339 in UTC."""
        document: dict[str, Any] = {
            "schema_version": self.schema_version,
            "device": self.device,
            "metrics": self.metrics,
            "ts": self.ts if self.ts.tzinfo is UTC else self.ts.astimezone(UTC),
        }
        if self.extra:
            document["extra"] = self.extra
        # encode_json would look for numbers that are not finite, which costs as much as the writing: here are none.
        return orjson.dumps(document, option=orjson.OPT_UTC_Z)
