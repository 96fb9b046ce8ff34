"""The connection to the broker as paho sees it, with a shorter way for telemetry.

paho reads each packet with three `recv` calls and sends each PUBACK by itself, and what it makes of a PUBLISH costs
more than all the rest of its way into Kafka. Here a connection is read in large pieces. PUBLISH packets are taken out
of them and handed over as a batch; all else (CONNACK, SUBACK, PINGRESP, DISCONNECT …) reaches paho in its place in the
stream, so paho still connects, subscribes, pings and comes back. PUBACKs are collected, and go out together.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from ingestion.publish_packets import (
    PUBLISH,
    TYPE_BITS,
    MalformedPacket,
    Publish,
    decode_publish,
    encode_puback,
    read_length,
)

_READ_BYTES = 64 * 1024
_LARGE_READ_BYTES = 1024 * 1024
_LONGEST_HEADER = 5

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection(Protocol):
    """What a socket, a TLS socket and paho's websocket have in common."""

    def recv(self, buffer_size: int, /) -> bytes: ...  # noqa: D102
    def send(self, buffer: bytes | bytearray, /) -> int: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def fileno(self) -> int: ...  # noqa: D102
    def setblocking(self, flag: bool, /) -> None: ...  # noqa: D102


class BufferedSocket:
    """One connection. ``take`` gets the messages of one read, in order, on the thread that reads.

    Reading is for one thread; `add_puback` and `flush` are for any.
    """

    def __init__(self, inner: Connection, version: int, take: Callable[[list[Publish]], None]) -> None:
        self._inner = inner
        self._version = version
        self._take = take
        self._lock = threading.Lock()
        """Around each call of ``inner``: a TLS connection can't be read and written at the same time."""
        self._out = bytearray()
        self._closed = False
        self._data = b""
        self._place = 0
        self._behind_control = False
        """Whether ``data`` goes on behind a packet that is paho's, and has not been looked at."""
        self._pieces: list[bytes] = []
        self._missing = 0
        """Bytes that the packet which has begun still needs, where it is a large one."""
        self._control = b""
        self.problem: str | None = None
        """What the broker has sent that can't be read, after which the connection is over."""

    # --- what paho calls ---

    def recv(self, size: int) -> bytes:
        """Return the next bytes that are paho's, up to ``size``, or ``b""`` at the end of the connection.

        Raises BlockingIOError where there are none now, and OSError.
        """
        if not self._control:
            if not self._behind_control and not self._read():
                return b""
            self._serve()
            if not self._control:
                raise BlockingIOError
        found, self._control = self._control[:size], self._control[size:]
        return found

    def send(self, data: bytes | bytearray) -> int:
        """Send paho's bytes behind the PUBACKs that were added before. Raises OSError."""
        with self._lock:
            self._out += data
            self._send()
        return len(data)

    def pending(self) -> int:
        """Return whether there is something to read that the file descriptor does not show, as a number of bytes."""
        if self._control or self._behind_control:
            return 1
        inner = getattr(self._inner, "pending", None)
        return int(inner()) if inner is not None else 0

    def fileno(self) -> int:
        """Return the file descriptor to wait for."""
        return self._inner.fileno()

    def setblocking(self, flag: bool) -> None:  # a socket's signature
        """Say whether calls wait; paho's never do."""
        self._inner.setblocking(flag)

    def close(self) -> None:
        """Close the connection; what can be sent at once still goes."""
        with self._lock:
            self._closed = True
            with suppress(OSError):
                self._send()
            self._out.clear()
        self._inner.close()

    # --- what ingestion calls ---

    def add_puback(self, mid: int) -> None:
        """Add an acknowledgement to what `flush` sends."""
        with self._lock:
            if not self._closed:
                self._out += encode_puback(mid)

    def flush(self) -> None:
        """Send what was added, as far as the connection takes it now; a lost one is left for paho to find."""
        if self._out:
            with self._lock, suppress(OSError):
                self._send()

    # --- inside ---

    def _send(self) -> None:
        while self._out:
            try:
                sent = self._inner.send(self._out)
            except _NOT_NOW:
                return
            if not sent:
                return  # a websocket that has a part of its frame left
            del self._out[:sent]

    def _read(self) -> bool:
        """Read once; return False at the connection's end."""
        size = min(max(self._missing, _READ_BYTES), _LARGE_READ_BYTES)
        with self._lock:
            read = self._inner.recv(size)
        if not read:
            return False
        if self._missing > len(read):
            self._missing -= len(read)
            self._pieces.append(read)
            raise BlockingIOError
        if self._pieces:
            self._pieces.append(read)
            read = b"".join(self._pieces)
            self._pieces.clear()
        self._missing = 0
        self._data = self._data[self._place :] + read if self._place < len(self._data) else read
        self._place = 0
        return True

    def _serve(self) -> None:
        """Hand over the messages up to the next packet that is paho's, and set that one aside for it."""
        messages: list[Publish] = []
        self._behind_control = False
        data, place, end = self._data, self._place, len(self._data)
        try:
            while end - place >= 2:
                first, length, body = data[place], data[place + 1], place + 2
                if length & 0x80:
                    if end - place < _LONGEST_HEADER and data[end - 1] & 0x80:
                        break
                    length, body = read_length(data, place + 1, end)
                behind = body + length
                if behind > end:
                    if behind - end > _READ_BYTES:
                        # Collected as pieces and joined once: a large packet is not copied at each read.
                        self._missing = behind - end
                        self._pieces, place, data = [data[place:]], 0, b""
                    break
                if first & TYPE_BITS == PUBLISH:
                    messages.append(decode_publish(first, data, body, behind, self._version))
                    place = behind
                    continue
                self._control = data[place:behind]
                place = behind
                self._behind_control = place < end
                break
        except MalformedPacket as error:
            self.problem = f"the broker breaks the protocol: {error}"
            raise ConnectionAbortedError(self.problem) from error
        finally:
            self._data, self._place = data, place
            if messages:
                self._take(messages)
