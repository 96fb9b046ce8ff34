"""What a client's first bytes tell: whether it is one, and which version of MQTT it speaks."""

from __future__ import annotations

import asyncio

import pytest

from iothub.servers.amqtt_broker import read_head

NAME = b"\x00\x04MQTT"


async def head_of(sent: bytes) -> tuple[bytes, int | None, bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    head, level = await read_head(reader)
    return head, level, await reader.read()


@pytest.mark.parametrize("length", [b"\x10", b"\x80\x01", b"\xff\xff\xff\x7f"], ids=["1", "2", "4"])
@pytest.mark.parametrize("level", [3, 4, 5])
async def test_a_connect_names_its_level(length: bytes, level: int) -> None:
    sent = b"\x10" + length + NAME + bytes((level,)) + b"rest"
    head, found, rest = await head_of(sent)
    assert found == level
    assert head + rest == sent
    assert rest == b"rest"


@pytest.mark.parametrize(
    "sent",
    [b"\x30\x05hello", b"GET / HTTP/1.1\r\n", b"\x10\x20\xff\xffMQTT\x04"],
    ids=["a PUBLISH", "HTTP", "a long name"],
)
async def test_anything_else_is_left_to_amqtt(sent: bytes) -> None:
    head, level, rest = await head_of(sent)
    assert level is None
    assert head + rest == sent


@pytest.mark.parametrize("sent", [b"", b"\x10", b"\x10\x80", b"\x10\x10\x00\x04MQ"])
async def test_one_that_ends_before_it_has_said_so_is_told_apart(sent: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await head_of(sent)
