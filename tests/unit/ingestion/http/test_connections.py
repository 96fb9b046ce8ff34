"""HTTP/1.1 as devices speak it, well and badly: framing, order, patience, and the end."""

from __future__ import annotations

import asyncio
import gc
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.http_connection import HttpConnection
from ingestion.telemetry_request import TelemetryRequest
from unit.ingestion.http.stand_in import running
from unit.ingestion.http.test_requests import READING, until

HEAD = b"POST /v1/telemetry HTTP/1.1\r\nHost: hub\r\n"


async def test_connections_are_kept_alive() -> None:
    async with running() as hub:
        device = await hub.connect()
        for _ in range(5):
            reply = await device.ask(READING)
            assert reply.status == 202
            assert "connection" not in reply.headers
        assert len(hub.intake.records) == 5


@pytest.mark.parametrize("head", [HEAD + b"Connection: close\r\n", HEAD.replace(b"1.1", b"1.0")])
async def test_one_that_is_not_wanted_any_more_is_closed(head: bytes) -> None:
    async with running() as hub:
        device = await hub.connect()
        device.say(head, b"Content-Length: 1\r\n\r\n1")
        reply = await device.read()
        assert (reply.status, reply.headers["connection"]) == (202, "close")
        assert await device.is_closed()


async def test_answers_come_in_the_order_of_the_requests() -> None:
    """Given requests one behind the other on the wire, when Kafka answers the last first, then the order stays."""
    async with running() as hub:
        hub.intake.holds = True
        device = await hub.connect()
        for number in (1, 2, 3):
            device.post(b"[" + b",".join([b"1"] * number) + b"]")
        device.say(b"GET /x HTTP/1.1\r\nHost: hub\r\n\r\n")
        await until(lambda: hub.intake.queued == 6)
        waiting, hub.intake._waiting = hub.intake._waiting, []
        for on_taken in reversed(waiting):
            on_taken(None)
        assert [(await device.read()).json.get("accepted") for _ in range(4)] == [1, 2, 3, None]


async def test_no_more_requests_are_read_than_may_wait() -> None:
    async with running() as hub:
        hub.intake.holds = True
        device = await hub.connect()
        for _ in range(200):
            device.post(READING)
            await asyncio.sleep(0)
        await until(lambda: hub.intake.queued >= 16)
        hub.intake.holds = False
        assert [(await device.read()).status for _ in range(200)] == [202] * 200


async def test_a_body_in_chunks() -> None:
    async with running() as hub:
        device = await hub.connect()
        device.say(HEAD, b"Transfer-Encoding: chunked\r\n\r\n4\r\n[1, \r\n")
        await device.writer.drain()
        device.say(b"2\r\n22\r\n1\r\n]\r\n0\r\n\r\n")
        assert (await device.read()).json == {"accepted": 2}
        assert hub.intake.values == [b"1", b"22"]


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_the_pieces_on_the_wire_change_nothing(cuts: list[int]) -> None:
    async def run() -> None:
        async with running() as hub:
            device = await hub.connect()
            said = HEAD + b"Content-Length: 9\r\nContent-Type: application/json\r\n\r\n[1, 2, 3]" + HEAD
            said += b"Transfer-Encoding: chunked\r\n\r\n3\r\n[4]\r\n0\r\n\r\n"
            for cut in cuts:
                device.say(said[:cut])
                said = said[cut:]
                await device.writer.drain()
                await asyncio.sleep(0)
            device.say(said)
            assert [(await device.read()).json for _ in range(2)] == [{"accepted": 3}, {"accepted": 1}]
            assert hub.intake.values == [b"1", b"2", b"3", b"4"]

    asyncio.run(run())


async def test_a_connection_that_is_over_leaves_nothing_in_memory() -> None:
    """Given that Python looks for cycles seldom in a process of ours, then there are none to look for."""
    async with running() as hub:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                device = await hub.connect()
                assert (await device.ask(READING)).status == 202
                device.writer.close()
                await device.writer.wait_closed()
            await until(lambda: not [it for it in gc.get_objects() if isinstance(it, HttpConnection)])
            assert not [it for it in gc.get_objects() if isinstance(it, TelemetryRequest)]
        finally:
            gc.enable()


class TestExpect:
    """Whoever asks before it sends is told, RFC 9110 §10.1.1."""

    async def test_it_is_told_to_go_on(self) -> None:
        async with running() as hub:
            device = await hub.connect()
            device.say(HEAD, b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
            assert (await device.read()).status == 100
            device.say(b"1")
            assert (await device.read()).status == 202

    async def test_or_not_to(self) -> None:
        async with running() as hub:
            device = await hub.connect()
            device.say(HEAD, b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
            reply = await device.read()
            assert (reply.status, reply.headers["connection"]) == (413, "close")
            assert await device.is_closed()


async def test_an_offer_of_another_protocol_is_declined_and_the_body_is_read() -> None:
    """As Java's client makes it with its first request."""
    async with running() as hub:
        device = await hub.connect()
        device.say(
            HEAD,
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n",
            b"Content-Length: 5\r\n\r\n[1,",
        )
        await device.writer.drain()
        device.say(b"2]")
        device.say(b"4")
        device.post(b"5")
        # One more byte than the length says is the next request's, and none
        assert (await device.read()).json == {"accepted": 2}
        assert (await device.read()).kind == "bad-http"


async def test_a_large_body_that_is_refused_does_not_hide_the_answer() -> None:
    """Given 20 MB on their way, then the device can send on and still reads why."""
    async with running() as hub:

        def send() -> bytes:
            with socket.create_connection(("127.0.0.1", hub.port)) as wire:
                wire.settimeout(10)
                wire.sendall(HEAD + b"Content-Length: 20000000\r\n\r\n")
                for _ in range(20):
                    wire.sendall(bytes(1_000_000))
                return wire.recv(10_000)

        answer = await asyncio.to_thread(send)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer


class TestWhatIsNoHttp:
    @pytest.mark.parametrize(
        "said",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"hello\r\n\r\n",
            HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n11",
            HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            HEAD + b"Content-Length: -1\r\n\r\n",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
            HEAD + b"No colon\r\n\r\n",
            b"CONNECT hub:443 HTTP/1.1\r\nHost: hub\r\n\r\n",
        ],
    )
    async def test_it_is_answered_400_and_the_connection_ends(self, said: bytes) -> None:
        async with running() as hub:
            device = await hub.connect()
            device.say(said)
            reply = await device.read()
            assert (reply.status, reply.headers["connection"]) == (400, "close")
            assert reply.kind == "bad-http"
            assert await device.is_closed()
            assert hub.intake.records == []

    async def test_what_came_before_it_is_answered_first(self) -> None:
        async with running() as hub:
            device = await hub.connect()
            device.post(READING)
            device.say(b"nonsense\r\n\r\n")
            assert [(await device.read()).status for _ in range(2)] == [202, 400]
            assert await device.is_closed()

    @settings(max_examples=60)
    @given(said=st.lists(st.sampled_from([HEAD, b"\r\n", b"Content-Length: 3\r\n", b"[1]"]) | st.binary(max_size=20)))
    def test_nothing_that_is_said_crashes_it(self, said: list[bytes]) -> None:
        async def run() -> None:
            async with running(keepalive_seconds=1) as hub:
                device = await hub.connect()
                for part in said:
                    device.say(part)
                device.writer.write_eof()
                async with asyncio.timeout(10):
                    await device.reader.read()
                assert (await (await hub.connect()).ask(READING)).status == 202

        asyncio.run(run())


class TestHeadSize:
    @pytest.mark.parametrize(("size", "status"), [(500, 202), (1100, 431), (5000, 431), (200_000, 431)])
    async def test_a_head_beyond_the_limit_is_refused(self, size: int, status: int) -> None:
        async with running(max_header_bytes=1024) as hub:
            device = await hub.connect()
            device.say(HEAD, b"X: " + b"x" * size + b"\r\nContent-Length: 1\r\n\r\n1")
            assert (await device.read()).status == status

    async def test_also_where_it_never_ends(self) -> None:
        async with running(max_header_bytes=1024) as hub:
            device = await hub.connect()
            device.say(HEAD)
            for number in range(100):
                device.say(b"X-%d: some more\r\n" % number)
                await asyncio.sleep(0)
            reply = await device.read()
            assert (reply.status, reply.kind) == (431, "headers-too-large")

    @pytest.mark.parametrize("part", [b"X-%d: a trailer\r\n", b"4;extension=%d", b"X: %d", b"0000%d"])
    async def test_also_behind_the_head(self, part: bytes) -> None:
        """Trailers, and what stands before a chunk, may be as long as a head, not longer."""
        async with running(max_header_bytes=1024) as hub:
            device = await hub.connect()
            is_trailer = part.startswith(b"X")
            device.say(HEAD, b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n", b"0\r\n" if is_trailer else b"")
            for number in range(200):
                device.say(part % number)
                await asyncio.sleep(0)
            reply = await device.read()
            assert reply.status in {400, 431}
            assert hub.intake.records == []

    async def test_trailers_are_dropped(self) -> None:
        async with running() as hub:
            device = await hub.connect()
            for _ in range(2):
                device.say(HEAD, b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nX-Checksum: abc\r\n\r\n")
                assert (await device.read()).status == 202

    async def test_many_small_chunks_are_no_large_head(self) -> None:
        async with running(max_header_bytes=1024) as hub:
            device = await hub.connect()
            device.say(HEAD, b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(2000):
                device.say(b"1\r\n1\r\n")
            device.say(b"0\r\n\r\n")
            assert (await device.read()).status == 202
            assert hub.intake.values == [b"1" * 2000]

    async def test_a_large_body_in_one_piece_with_its_head_is_no_large_head(self) -> None:
        async with running(max_header_bytes=1024) as hub:
            device = await hub.connect()
            for _ in range(3):
                assert (await device.ask(b"1" * 50_000)).status == 202


class TestPatience:
    async def test_a_body_that_does_not_come(self) -> None:
        async with running(body_timeout_seconds=0.3) as hub:
            device = await hub.connect()
            device.say(HEAD, b"Content-Length: 10\r\n\r\n123")
            reply = await device.read()
            assert (reply.status, reply.kind, reply.headers["connection"]) == (408, "body-too-slow", "close")
            assert await device.is_closed()

    async def test_a_head_that_does_not_end(self) -> None:
        async with running(body_timeout_seconds=0.3) as hub:
            device = await hub.connect()
            device.say(b"POST /v1/tele")
            reply = await device.read()
            assert (reply.status, reply.kind) == (408, "headers-too-slow")

    async def test_a_connection_that_is_not_used(self) -> None:
        async with running(keepalive_seconds=1) as hub:
            silent, used = await hub.connect(), await hub.connect()
            await used.ask(READING)
            started = time.monotonic()
            assert await silent.is_closed()
            assert await used.is_closed()
            assert 0.5 < time.monotonic() - started < 5

    async def test_waiting_for_kafka_is_not_idle(self) -> None:
        async with running(keepalive_seconds=1, body_timeout_seconds=0.3) as hub:
            hub.intake.holds = True
            device = await hub.connect()
            device.post(READING)
            await asyncio.sleep(1.8)
            hub.intake.holds = False
            assert (await device.read()).status == 202


class TestTheEnd:
    async def test_requests_at_work_are_answered_and_nothing_new_is_taken(self) -> None:
        async with running() as hub:
            hub.intake.holds = True
            idle, busy, half = await hub.connect(), await hub.connect(), await hub.connect()
            await asyncio.sleep(0)
            busy.post(READING)
            half.say(HEAD, b"Content-Length: 2\r\n\r\n1")
            await until(lambda: hub.intake.queued == 1)
            hub.stop.set()
            assert await idle.is_closed()
            await _until_refused(hub.port)
            half.say(b"1")
            await until(lambda: hub.intake.queued == 2)
            hub.intake.holds = False
            for device in (busy, half):
                reply = await device.read()
                assert (reply.status, reply.headers["connection"]) == (202, "close")
                assert await device.is_closed()
        assert hub.cut_off == 0

    async def test_a_request_on_its_way_meanwhile_is_answered_as_the_last(self) -> None:
        async with running(farewell=0.5) as hub:
            used, silent = await hub.connect(), await hub.connect()
            assert (await used.ask(READING)).status == 202
            hub.stop.set()
            await _until_refused(hub.port)
            reply = await used.ask(READING)
            assert (reply.status, reply.headers["connection"]) == (202, "close")
            assert await used.is_closed()
            assert await silent.is_closed()
        assert hub.cut_off == 0

    async def test_what_does_not_end_in_time_is_cut_off_without_an_answer(self) -> None:
        async with running(grace=0.3) as hub:
            hub.intake.holds = True
            device = await hub.connect()
            device.post(READING)
            await until(lambda: hub.intake.queued == 1)
        assert hub.cut_off == 1


async def _until_refused(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return
            writer.close()
