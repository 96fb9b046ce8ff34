"""The connection as paho sees it: telemetry taken out of the stream, everything else in its place, nothing lost."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.buffered_socket import BufferedSocket
from ingestion.protocol import MQTT_5
from ingestion.publish_packets import Publish

PINGRESP, SUBACK = b"\xd0\x00", b"\x90\x04\x00\x01\x00\x01"
Take = Callable[[list[Publish]], None]


class Wire:
    """A connection that gives the pieces that it is told to, and takes as many bytes as it is told to."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.sent = b""
        self.takes: int | None = None
        self.closed = False

    def recv(self, size: int, /) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def send(self, buffer: bytes | bytearray, /) -> int:
        if self.closed:
            raise OSError("closed")
        taken = bytes(buffer if self.takes is None else buffer[: self.takes])
        if not taken:
            raise BlockingIOError
        self.sent += taken
        self.takes = None if self.takes is None else self.takes - len(taken)
        return len(taken)

    def close(self) -> None:
        self.closed = True

    def fileno(self) -> int:
        return 42

    def setblocking(self, flag: bool, /) -> None:
        self.blocks = flag


def publish(number: int, payload: bytes = b"") -> bytes:
    body = b"\0\x01t" + struct.pack("!H", number) + b"\0" + payload
    length, size = bytearray(), len(body)
    while True:
        size, byte = divmod(size, 128)
        length.append(byte | (0x80 if size else 0))
        if not size:
            return b"\x32" + bytes(length) + body


class Reader:
    """Reads as paho's loop does: while there is something pending, and what comes in with it, packet by packet."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.events: list[int | bytes] = []
        """Packet ids of messages, and paho's packets, in the order in which they came."""
        self.batches: list[int] = []
        self.wire = Wire(*pieces)
        self.socket = BufferedSocket(self.wire, MQTT_5, self._take)

    def _take(self, messages: list[Publish]) -> None:
        self.batches.append(len(messages))
        self.events += [message.mid for message in messages]

    def read_packet(self) -> None:
        head = self.socket.recv(1)
        if not head:
            raise EOFError
        length = self.socket.recv(1)
        self.events.append(head + length + (self.socket.recv(length[0]) if length[0] else b""))

    def read_all(self) -> list[int | bytes]:
        while self.wire.pieces or self.socket.pending():
            try:
                self.read_packet()
            except BlockingIOError:
                continue
        return self.events


def test_telemetry_is_taken_out_and_the_rest_keeps_its_place() -> None:
    reader = Reader(publish(1) + publish(2) + SUBACK + publish(3) + PINGRESP + PINGRESP + publish(4))
    assert reader.read_all() == [1, 2, SUBACK, 3, PINGRESP, PINGRESP, 4]


def test_what_one_read_brings_is_one_batch() -> None:
    reader = Reader(b"".join(map(publish, range(1, 51))), publish(51))
    reader.read_all()
    assert reader.batches == [50, 1]


def test_nothing_is_pending_while_a_packet_is_only_begun() -> None:
    """Else paho's loop would turn without a pause until the rest comes."""
    whole = publish(1, b"x" * 50)
    reader = Reader(SUBACK + whole[:20])
    reader.read_packet()
    assert reader.socket.pending() == 1  # not looked at yet
    with pytest.raises(BlockingIOError):
        reader.socket.recv(1)
    assert reader.socket.pending() == 0
    reader.wire.pieces.append(whole[20:])
    assert reader.read_all() == [SUBACK, 1]


@given(
    st.lists(
        st.one_of(
            st.sampled_from([SUBACK, PINGRESP]),
            st.tuples(st.integers(1, 65_535), st.sampled_from([0, 1, 117, 118, 119, 16_000, 70_000, 200_000])),
        ),
        max_size=8,
    ),
    st.data(),
)
def test_wherever_the_stream_is_cut_the_same_comes_out(
    packets: list[bytes | tuple[int, int]], data: st.DataObject
) -> None:
    stream = b"".join(each if isinstance(each, bytes) else publish(each[0], b"p" * each[1]) for each in packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    reader = Reader(*filter(None, pieces))
    assert reader.read_all() == [each if isinstance(each, bytes) else each[0] for each in packets]


def test_a_large_payload_comes_whole() -> None:
    payload = bytes(range(256)) * 12_000
    taken: list[Publish] = []
    socket = BufferedSocket(Wire(publish(1, b"a") + publish(2, payload) + publish(3, b"b")), MQTT_5, taken.extend)
    while len(taken) < 3:
        with pytest.raises(BlockingIOError):
            socket.recv(1)
    assert [message.payload for message in taken] == [b"a", payload, b"b"]


def test_the_end_of_the_connection_is_told_behind_what_came_before() -> None:
    reader = Reader(publish(1) + SUBACK, b"")
    reader.read_packet()
    with pytest.raises(EOFError):
        reader.read_packet()
    assert reader.events == [1, SUBACK]


@pytest.mark.parametrize("error", [ConnectionResetError(), ssl.SSLWantReadError(), ssl.SSLWantWriteError()], ids=repr)
def test_what_the_connection_raises_is_pahos_to_know(error: Exception) -> None:
    with pytest.raises(type(error)):
        Reader(error).socket.recv(1)


@pytest.mark.parametrize(
    "broken", [b"\x34\x06\0\x01t\0\x01\0", b"\x32\x02\0\x09", b"\x32\xff\xff\xff\xff\x01"], ids=repr
)
def test_what_breaks_the_protocol_ends_the_connection_and_says_so(broken: bytes) -> None:
    reader = Reader(publish(1) + broken)
    with pytest.raises(ConnectionAbortedError):
        reader.socket.recv(1)
    assert reader.events == [1]
    assert reader.socket.problem is not None
    assert reader.socket.problem.startswith("the broker breaks the protocol: a ")


class TestSending:
    def test_acknowledgements_go_out_together(self) -> None:
        reader = Reader()
        for mid in (1, 2, 3):
            reader.socket.add_puback(mid)
        assert reader.wire.sent == b""
        reader.socket.flush()
        assert reader.wire.sent == b"\x40\x02\0\x01\x40\x02\0\x02\x40\x02\0\x03"

    def test_what_paho_sends_goes_behind_them(self) -> None:
        reader = Reader()
        reader.socket.add_puback(1)
        assert reader.socket.send(b"\xe0\x00") == 2
        assert reader.wire.sent == b"\x40\x02\0\x01\xe0\x00"

    def test_what_the_connection_does_not_take_now_goes_later_in_order(self) -> None:
        reader = Reader()
        reader.wire.takes = 3
        reader.socket.add_puback(1)
        reader.socket.flush()
        assert reader.socket.send(b"\xc0\x00") == 2
        assert reader.wire.sent == b"\x40\x02\0"
        reader.wire.takes = None
        reader.socket.flush()
        assert reader.wire.sent == b"\x40\x02\0\x01\xc0\x00"

    def test_nothing_goes_out_once_it_is_closed(self) -> None:
        reader = Reader()
        reader.socket.add_puback(1)
        reader.socket.close()
        assert (reader.wire.sent, reader.wire.closed) == (b"\x40\x02\0\x01", True)
        reader.socket.add_puback(2)
        reader.socket.flush()
        assert reader.wire.sent == b"\x40\x02\0\x01"

    def test_a_lost_connection_is_left_for_paho_to_find(self) -> None:
        reader = Reader()
        reader.wire.closed = True
        reader.socket.add_puback(1)
        reader.socket.flush()
        with pytest.raises(OSError, match="closed"):
            reader.socket.send(b"\xc0\x00")


def test_it_stands_for_the_connection() -> None:
    reader = Reader()
    reader.socket.setblocking(False)
    assert (reader.socket.fileno(), reader.wire.blocks) == (42, False)
