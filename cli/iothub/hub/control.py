"""What other terminals say to a running hub: one line of JSON over a Unix socket, one line back.

    {"do": "get"}                                          {"consumers": […], "parts": […]}
    {"do": "scale", "name": "validator", "replicas": 3}    {"name": …, "replicas": …}
    {"do": "stop"}                                         {}

Where something can't be done, the answer is ``{"error": "a sentence"}``.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from iothub.errors import CliError, NotRunning, Unavailable, UsageError

Answer = dict[str, Any]
Handler = Callable[[Mapping[str, Any]], Answer]

_ANSWER_SECONDS = 30.0
_LINE_BYTES = 64 * 1024


class ControlServer:
    """Answers requests; ``handlers`` by what is to be done. Only the user who runs the hub can reach it."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LINE_BYTES)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            with suppress(OSError):  # the next one that listens there removes it
                self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            writer.write(json.dumps(self._answer(line)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            return  # the other side has gone, or talks without end
        finally:
            writer.close()

    def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, TypeError, KeyError):
            return {"error": f"the hub does not know what this means: {line[:200]!r}"}
        try:
            return handler(request)
        except CliError as error:
            return {"error": str(error)}


def send_request(path: Path, request: Mapping[str, Any], *, name: str) -> Answer:
    """Send one request to the hub ``name`` and return its answer.

    Raises NotRunning where none listens, Unavailable where it does not answer, UsageError with the hub's sentence where
    it refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
    except TimeoutError as error:
        raise Unavailable(
            f"the hub {name!r} runs and has not answered in {_ANSWER_SECONDS:.0f} s: its process is stopped, or the "
            "machine is overloaded"
        ) from error
    except OSError as error:
        raise NotRunning(describe_not_running(name)) from error
    answer: Answer = json.loads(line) if line else {"error": f"the hub {name!r} ended before it answered"}
    if "error" in answer:
        raise UsageError(str(answer["error"]))
    return answer


def describe_not_running(name: str) -> str:
    """Return the sentence for a hub that is not there."""
    option = "" if name == "hub" else f" --name {name}"
    return f"no hub {name!r} runs on this machine; start it with: iothub up{option}"
