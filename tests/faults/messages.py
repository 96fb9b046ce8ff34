"""The messages of the runs: from a number to topic, device and bytes, so that a reader can tell what must have come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telemetry.headers import derive_id

__all__ = ["DEVICES", "Sent", "build_message", "find_number"]

DEVICES = 8
_NUMBER = re.compile(rb'\{"number":(\d+),')


@dataclass(frozen=True, slots=True)
class Sent:
    """A message as its device sends it."""

    device: str
    topic: str
    payload: bytes
    own_id: str | None
    """The id that it carries as a user property: every other message does; None where ingestion has to derive one."""

    @property
    def id(self) -> str:
        """The header ``id`` of its record, and of every copy of that."""
        return self.own_id or derive_id(self.topic, self.payload)


def build_message(number: int, size: int) -> Sent:
    """Return the message with this number, of ``size`` bytes or a little more."""
    device = f"DEV-{number % DEVICES:02}"
    head = f'{{"number":{number},"schema_version":1,"device":"{device}","metrics":{{"temperature":20.5}},"pad":"'
    # The number makes the padding another one each time: a copy with another's bytes would be seen.
    pad = f"{number:x}." * (max(0, size - len(head) - 2) // len(f"{number:x}.") + 1)
    payload = f'{head}{pad}"}}'.encode()
    # By pairs, or all of a device's messages would be of one kind.
    return Sent(device, f"telemetry/{device}", payload, None if number // DEVICES % 2 else f"own-{number}")


def find_number(payload: bytes) -> int | None:
    """Return the number of the message that begins like this, or None where it is none of ours."""
    found = _NUMBER.match(payload)
    return int(found[1]) if found else None
