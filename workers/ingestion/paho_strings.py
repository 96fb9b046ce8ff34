"""Reading MQTT's strings as MQTT 5 §1.5.4 wants a receiver to, in place of paho's own way.

paho refuses a property that holds U+FEFF, which [MQTT-1.5.4-3] says must be taken as it is, and leaves the connection.
The broker has acknowledged such a message, so it would send it again at each return, for ever, and whatever a device
sends behind it would never come in. The broker has checked every string; here none is a reason to stop.
"""

from __future__ import annotations

from paho.mqtt import properties
from paho.mqtt.exception import MalformedPacket


def read_string(buffer: bytes, limit: int) -> tuple[str, int]:
    """Return the string at the start of ``buffer`` and its bytes' number. Raises MalformedPacket past ``limit``."""
    end = 2 + int.from_bytes(buffer[:2], "big")
    if limit < 2 or end > limit:
        raise MalformedPacket("a string ends behind its packet")
    return bytes(buffer[2:end]).decode("utf-8", "replace"), end


def install() -> None:
    """Have paho read strings with `read_string`."""
    properties.readUTF = read_string
