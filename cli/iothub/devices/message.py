"""What a simulated device sends, and when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from telemetry.headers import derive_id

if TYPE_CHECKING:
    from iothub.devices.damage import Damage

TOPIC_PREFIX = "telemetry/"
"""A device publishes to this topic with its id behind it: what ingestion reads where nothing else is set."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of one device."""

    id: str
    """The header ``id`` that ingestion will give it: it carries no id of its own, so its topic and bytes make it."""
    device: str
    topic: str
    payload: bytes
    damage: Damage | None = None
    """What is wrong with it; None where it is valid."""


class Planned(NamedTuple):
    """A message, and when it is to be sent: seconds from the start."""

    due: float
    message: Message


def build_message(device: str, document: dict[str, Any], damage: Damage | None) -> Message:
    """Return the message of ``device`` that says ``document``, damaged where ``damage`` is given."""
    topic = TOPIC_PREFIX + device
    payload = orjson.dumps(document) if damage is None else damage.apply(document)
    return Message(derive_id(topic, payload), device, topic, payload, damage)


def address_over_http(message: Message) -> Message:
    """Return the message as one that is sent over HTTP: its id is then made of its device in place of the topic."""
    return replace(message, id=derive_id(message.device, message.payload))


def build_document(mark: str, device: str, metrics: dict[str, Any], ts: object) -> dict[str, Any]:
    """Return a telemetry document. ``mark`` is unlike every other message's, so that no two have the same bytes.

    It stands in front: what is cut off at the end is still unlike everything else.
    """
    return {"schema_version": 1, "message": mark, "device": device, "metrics": metrics, "ts": ts}
