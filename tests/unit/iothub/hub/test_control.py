"""What other terminals say to a hub, over its socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from iothub.errors import NotRunning, Unavailable, UsageError
from iothub.hub import control
from iothub.hub.control import ControlServer, send_request


def scale(request: Mapping[str, Any]) -> dict[str, Any]:
    if request["name"] == "none":
        raise UsageError("there is no 'none'")
    return {"replicas": request["replicas"]}


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    place = tmp_path / "s"
    place.write_text("a file that a killed hub has left")
    server = ControlServer(place, {"scale": scale, "get": lambda request: {"text": "x" * 1_000_000}})
    await server.start()
    yield place
    await server.stop()
    assert not place.exists()


async def ask(path: Path, **request: Any) -> dict[str, Any]:
    return await asyncio.to_thread(send_request, path, request, name="hub")


async def test_a_question_has_an_answer(path: Path) -> None:
    assert await ask(path, do="scale", name="a", replicas=3) == {"replicas": 3}
    assert len((await ask(path, do="get"))["text"]) == 1_000_000


async def test_only_its_user_may_ask(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_can_not_be_done_is_one_sentence(path: Path) -> None:
    with pytest.raises(UsageError, match="there is no 'none'"):
        await ask(path, do="scale", name="none", replicas=3)
    with pytest.raises(UsageError, match="does not know what this means"):
        await ask(path, do="fly")


async def test_who_talks_nonsense_or_goes_away_does_not_harm_the_others(path: Path) -> None:
    def nonsense() -> bytes:
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(str(path))
            gone.sendall(b'{"do": ')
        with socket.socket(socket.AF_UNIX) as endless:
            endless.connect(str(path))
            try:
                endless.sendall(b"x" * 1_000_000)
                return endless.recv(10_000)
            except OSError:
                return b""

    await asyncio.to_thread(nonsense)
    assert await ask(path, do="scale", name="a", replicas=1) == {"replicas": 1}


def test_nobody_there_is_not_running(tmp_path: Path) -> None:
    for name, command in (("hub", "iothub up"), ("lab", "iothub up --name lab")):
        with pytest.raises(NotRunning) as raised:
            send_request(tmp_path / "s", {"do": "get"}, name=name)
        assert str(raised.value) == f"no hub {name!r} runs on this machine; start it with: {command}"


def test_a_hub_that_is_stopped_is_not_told_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_ANSWER_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(Unavailable, match="runs and has not answered"):
            send_request(tmp_path / "s", {"do": "get"}, name="hub")
