"""How many connections there may be and how long each may take: nobody can hold what others need. Real sockets."""

from __future__ import annotations

import asyncio
import resource
import socket
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from ingestion.http import make_room_for_connections
from ingestion.http_server import MOST_REFUSED
from telemetry.errors import ConfigurationError
from unit.ingestion.http.stand_in import running
from unit.ingestion.http.test_requests import READING, until

if TYPE_CHECKING:
    from unit.ingestion.http.stand_in import Device

HEAD = b"POST /v1/telemetry HTTP/1.1\r\nHost: hub\r\n"


def count_open() -> float | None:
    return REGISTRY.get_sample_value("iothub_ingestion_http_open_connections")


def count_limited(outcome: str) -> float:
    name = "iothub_ingestion_http_connections_limited_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0.0


async def drip(device: Device, said: bytes) -> None:
    """Say one byte after the other, slowly, until the server has ended the connection."""
    for byte in said:
        device.say(bytes([byte]))
        await asyncio.sleep(0.02)
        if device.reader.at_eof():
            return


class TestTheMost:
    async def test_the_longest_idle_one_goes_for_a_new_one(self) -> None:
        """Given as many as there may be, then those that wait for an answer stay, and those used last."""
        async with running(max_connections=3) as hub:
            busy, first, second = [await hub.connect() for _ in range(3)]
            for device in (busy, first, second):
                assert (await device.ask(READING)).status == 202
            hub.intake.holds = True
            busy.post(READING)
            await until(lambda: hub.intake.queued == 1)
            made_room = count_limited("made_room")
            new = await hub.connect()
            assert await first.is_closed()
            assert count_limited("made_room") == made_room + 1
            hub.intake.holds = False
            assert [(await device.read()).status for device in (busy,)] == [202]
            assert [(await device.ask(READING)).status for device in (busy, second, new)] == [202] * 3

    async def test_one_that_has_not_said_anything_goes_too(self) -> None:
        async with running(max_connections=2) as hub:
            silent, other = await hub.connect(), await hub.connect()
            assert (await other.ask(READING)).status == 202
            assert (await (await hub.connect()).ask(READING)).status == 202
            assert await silent.is_closed()

    async def test_where_none_is_idle_the_new_one_is_told_to_come_again(self) -> None:
        async with running(max_connections=2, retry_after_seconds=7) as hub:
            hub.intake.holds = True
            waits, half = await hub.connect(), await hub.connect()
            waits.post(READING)
            half.say(HEAD)
            await until(lambda: hub.intake.queued == 1 and count_open() == 2)
            for _ in range(3):
                new = await hub.connect()
                reply = await new.ask(READING)
                assert (reply.status, reply.kind) == (503, "overloaded")
                assert (reply.headers["retry-after"], reply.headers["connection"]) == ("7", "close")
                assert await new.is_closed()
                new.writer.close()
            await until(lambda: count_open() == 2)
            # Once one of them has its answer, there is room.
            hub.intake.holds = False
            assert (await waits.read()).status == 202
            assert (await (await hub.connect()).ask(READING)).status == 202
            half.say(b"Content-Length: 1\r\n\r\n1")
            assert (await half.read()).status == 202

    async def test_a_flood_is_not_even_answered(self) -> None:
        async with running(max_connections=1) as hub:
            only = await hub.connect()
            only.say(HEAD)
            await until(lambda: count_open() == 1)
            await asyncio.sleep(0)
            cut_off = count_limited("cut_off")
            flood = [await hub.connect() for _ in range(MOST_REFUSED + 30)]
            await until(lambda: count_limited("cut_off") == cut_off + 30)
            assert (await flood[0].read()).status == 503
            only.say(b"Content-Length: 1\r\n\r\n1")
            assert (await only.read()).status == 202


class TestSlowness:
    """Who sends a byte now and then has the time of one request, not that time again with each byte."""

    @pytest.mark.parametrize(
        ("begin", "rest", "kind"),
        [
            (b"", HEAD + b"X: " + b"x" * 500, "headers-too-slow"),
            (HEAD + b"Content-Length: 500\r\n\r\n", b"1" * 500, "body-too-slow"),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n" * 90, "body-too-slow"),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n", b"X: y\r\n" * 90, "body-too-slow"),
        ],
    )
    async def test_it_is_answered_408_and_the_connection_ends(self, begin: bytes, rest: bytes, kind: str) -> None:
        async with running(body_timeout_seconds=0.5) as hub:
            device = await hub.connect()
            device.say(begin)
            dripping = asyncio.create_task(drip(device, rest))
            reply = await device.read()
            assert (reply.status, reply.kind, reply.headers["connection"]) == (408, kind, "close")
            assert await device.is_closed()
            assert not dripping.done()
            dripping.cancel()
            assert hub.intake.records == []

    async def test_line_ends_before_a_request_win_no_time(self) -> None:
        async with running(keepalive_seconds=1, body_timeout_seconds=1) as hub:
            device = await hub.connect()
            dripping = asyncio.create_task(drip(device, b"\r\n" * 300))
            async with asyncio.timeout(8):
                await device.reader.read()
            assert not dripping.done()
            dripping.cancel()

    async def test_who_does_not_read_the_answers_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given answers without end that nobody reads, then the connection does not stay open for them."""
        monkeypatch.setattr("ingestion.http_connection._LINGER_SECONDS", 0.3)
        async with running(keepalive_seconds=1) as hub:
            with socket.socket() as wire:
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                wire.connect(("127.0.0.1", hub.port))
                wire.setblocking(False)
                said = b"GET /openapi.json HTTP/1.1\r\nHost: hub\r\n\r\n" * 4000
                async with asyncio.timeout(10):
                    sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(wire, said))
                    await until(lambda: count_open() == 1)
                    await until(lambda: count_open() == 0)
                    sending.cancel()


class TestOpenFiles:
    @pytest.fixture(autouse=True)
    def limits(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
        """Given a process that may have 1,000 files open, and 4,000 where it asks; what was set comes behind that."""
        limits = [(1000, 4000)]

        def set_limit(which: int, limit: tuple[int, int]) -> None:
            if limit[0] > 4000:
                raise ValueError("not allowed to raise maximum limit")
            limits.append(limit)

        monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
        monkeypatch.setattr(resource, "setrlimit", set_limit)
        return limits

    def test_enough_is_left_alone(self, limits: list[tuple[int, int]]) -> None:
        make_room_for_connections(100)
        assert limits == [(1000, 4000)]

    def test_more_is_asked_for(self, limits: list[tuple[int, int]]) -> None:
        make_room_for_connections(2000)
        assert 2000 < limits[-1][0] < 2500
        assert limits[-1][1] == 4000

    def test_too_much_is_refused_by_name(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"^INGESTION_MAX_CONNECTIONS is 5000.*may have 1000, at most 4000"
        ):
            make_room_for_connections(5000)
