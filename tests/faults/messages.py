"""The messages of the runs: from a number to device, bytes and id, so that a reader can tell what must have come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telemetry.headers import derive_id

__all__ = ["BATCH", "DEVICES", "HttpRecipe", "Recipe", "Sent", "find_number"]

DEVICES = 8
BATCH = 10
"""How many messages of a device an HTTP request holds."""
_NUMBER = re.compile(rb'\{"number":(\d+),')


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as its device sends it."""

    device: str
    payload: bytes
    id: str
    """The header ``id`` of its record, and of every copy of that."""
    own_id: str | None
    """The MQTT user property ``id``, or the Idempotency-Key; None where ingestion is to derive the id."""

    @property
    def topic(self) -> str:
        """Where it is published."""
        return f"telemetry/{self.device}"


@dataclass(frozen=True)
class Recipe:
    """What an MQTT fleet sends: messages of ``size`` bytes or a few more; every other one of a device names its id."""

    size: int = 290

    def build(self, number: int) -> Sent:
        """Return the message with this number. Those of a device are ``DEVICES`` apart."""
        device = f"DEV-{number % DEVICES:02}"
        head = f'{{"number":{number},"schema_version":1,"device":"{device}","metrics":{{"temperature":20.5}},"pad":"'
        # The number makes the padding another one each time: a copy with another's bytes would be seen.
        pad = f"{number:x}." * (max(0, self.size - len(head) - 2) // len(f"{number:x}.") + 1)
        payload = f'{head}{pad}"}}'.encode()
        return Sent(device, payload, *self._build_ids(number, device, payload))

    def _build_ids(self, number: int, device: str, payload: bytes) -> tuple[str, str | None]:
        if number // DEVICES % 2:
            return derive_id(f"telemetry/{device}", payload), None
        return f"own-{number}", f"own-{number}"


class HttpRecipe(Recipe):
    """What an HTTP fleet sends: batches of ``BATCH`` messages, every other one with an Idempotency-Key."""

    def _build_ids(self, number: int, device: str, payload: bytes) -> tuple[str, str | None]:
        batch, index = divmod(number // DEVICES, BATCH)
        if batch % 2:
            return derive_id(device, payload), None
        return f"{device}-{batch}#{index}", f"{device}-{batch}"


def find_number(payload: bytes) -> int | None:
    """Return the number of the message that begins like this, or None where it is none of ours."""
    found = _NUMBER.match(payload)
    return int(found[1]) if found else None
