"""A broker that sends messages at an even pace and notes when each is acknowledged: the other end of the connection.

What lies between a message's last byte and its PUBACK is then the contender's doing alone. It speaks as much of MQTT 5
and 3.1.1 as a subscriber at QoS 1 needs, to one client.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from benchmarks.child import BenchmarkFailed
from benchmarks.ingestion_mqtt_publisher import encode_remaining
from benchmarks.messages import Sent
from iothub.devices.message import TOPIC_PREFIX

_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _PINGREQ, _DISCONNECT = 0x10, 0x30, 0x40, 0x80, 0xC0, 0xE0
_ROUND_SECONDS = 0.001
_READ_BYTES = 65_536
_MIDS = 65_535


@dataclass
class Paced:
    """What was seen: when it began, and how long each acknowledged message waited, in seconds, in order."""

    seconds: list[float] = field(default_factory=list)
    held_back: int = 0
    """Messages that were sent late, because the client's window was full."""


class PacedBroker:
    """Listens on ``port``; once somebody has subscribed, sends ``rate`` messages a second, ``window`` on their way."""

    def __init__(self, pool: Sequence[Sent], *, rate: float, window: int) -> None:
        self._bodies = [((TOPIC_PREFIX + str(sent.document["device"])).encode(), sent.record.value) for sent in pool]
        self._rate = rate
        self._window = window
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.paced = Paced()
        self.subscribed = threading.Event()
        self.error: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(10)
        self._listener.close()

    def check(self) -> None:
        """Raise BenchmarkFailed where the client went away."""
        if self.error is not None:
            raise BenchmarkFailed(self.error)

    def _work(self) -> None:
        self._listener.settimeout(0.2)
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                try:
                    self._serve(connection)
                except OSError as error:
                    self.error = f"the contender's connection ended: {error}"

    def _serve(self, connection: socket.socket) -> None:
        is_v5 = False
        unread, unsent = b"", bytearray()
        on_the_way: dict[int, float] = {}
        mid = number = 0
        begin: float | None = None
        while not self._ended.is_set():
            readable, _, _ = select.select([connection], [connection] if unsent else [], [], _ROUND_SECONDS)
            if readable:
                read = connection.recv(_READ_BYTES)
                if not read:
                    return
                now = time.perf_counter()
                unread += read
                place = 0
                while (found := _find_packet(unread, place)) is not None:
                    kind, body, place = found
                    if kind == _PUBACK:
                        self.paced.seconds.append(now - on_the_way.pop(int.from_bytes(body[:2], "big")))
                    elif kind == _CONNECT:
                        is_v5 = body[6] == 5
                        unsent += b"\x20\x03\0\0\0" if is_v5 else b"\x20\x02\0\0"
                    elif kind == _SUBSCRIBE:
                        unsent += _answer_subscribe(body, is_v5=is_v5)
                        begin = now
                        self.subscribed.set()
                    elif kind == _PUBLISH:
                        size = int.from_bytes(body[:2], "big")
                        unsent += b"\x40\x02" + body[2 + size : 4 + size]
                    elif kind == _PINGREQ:
                        unsent += b"\xd0\x00"
                    elif kind == _DISCONNECT:
                        return
                unread = unread[place:]
            if begin is not None:
                now = time.perf_counter()
                due = int((now - begin) * self._rate)
                while number < due and len(on_the_way) < self._window:
                    topic, payload = self._bodies[number % len(self._bodies)]
                    mid = mid % _MIDS + 1
                    rest = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid)
                    rest += (b"\0" if is_v5 else b"") + payload
                    unsent += b"\x32" + encode_remaining(len(rest)) + rest
                    on_the_way[mid] = now
                    number += 1
                if number < due:
                    self.paced.held_back += due - number
                    begin += (due - number) / self._rate  # not made up for: the pace stays even
            if unsent:
                with suppress(BlockingIOError):
                    del unsent[: connection.send(unsent)]


def _find_packet(data: bytes, place: int) -> tuple[int, bytes, int] | None:
    """Return the type, the body and the end of the packet at ``place``, or None where it is not whole."""
    if len(data) - place < 2:
        return None
    kind, length, at, shift = data[place] & 0xF0, 0, place + 1, 0
    while True:
        if at >= len(data):
            return None
        byte = data[at]
        length |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if not byte & 0x80:
            break
    return (kind, data[at : at + length], at + length) if at + length <= len(data) else None


def _answer_subscribe(body: bytes, *, is_v5: bool) -> bytes:
    place = 2
    if is_v5:
        place += 1 + body[2]  # properties of fewer than 128 bytes
    filters = 0
    while place < len(body):
        place += 2 + int.from_bytes(body[place : place + 2], "big") + 1
        filters += 1
    rest = body[:2] + (b"\0" if is_v5 else b"") + b"\x01" * filters
    return b"\x90" + encode_remaining(len(rest)) + rest
