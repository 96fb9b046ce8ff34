"""A publisher of MQTT 3.1.1 that costs little: packets built beforehand, written in large pieces, QoS 1."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

from benchmarks.child import BenchmarkFailed
from benchmarks.messages import Sent
from iothub.devices.message import TOPIC_PREFIX

_WINDOW = 1000
_SECONDS = 120.0
_PUBACK_BYTES = 4


def publish(port: int, pool: Sequence[Sent], messages: int) -> None:
    """Publish ``messages`` of the pool to the broker at ``port``, and return once each is acknowledged."""
    packets = [_encode_publish(sent) for sent in pool]
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall(b"\x10\x15\x00\x04MQTT\x04\x02\x00\x00\x00\x09bench-pub")
        _read(connection, 4)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + _SECONDS
        for begin in range(0, messages, _WINDOW):
            end = min(begin + _WINDOW, messages)
            connection.sendall(
                b"".join(
                    head + struct.pack("!H", number % _WINDOW + 1) + payload
                    for number in range(begin, end)
                    for head, payload in (packets[number % len(packets)],)
                )
            )
            _read(connection, _PUBACK_BYTES * (end - begin))
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"the broker has taken only {end} of {messages} messages in {_SECONDS:.0f} s")
        connection.sendall(b"\xe0\x00")


def encode_remaining(length: int) -> bytes:
    """Return a packet's remaining length (MQTT 3.1.1 §2.2.3)."""
    found = bytearray()
    while True:
        length, byte = divmod(length, 128)
        found.append(byte | 0x80 if length else byte)
        if not length:
            return bytes(found)


def _encode_publish(sent: Sent) -> tuple[bytes, bytes]:
    """Return what comes before a PUBLISH's packet id, and what comes behind it."""
    topic = (TOPIC_PREFIX + str(sent.document["device"])).encode()
    head = struct.pack("!H", len(topic)) + topic
    payload = sent.record.value
    return b"\x32" + encode_remaining(len(head) + 2 + len(payload)) + head, payload


def _read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        read = connection.recv(size - len(found))
        if not read:
            raise BenchmarkFailed("the broker has closed the publisher's connection")
        found += read
    return found
