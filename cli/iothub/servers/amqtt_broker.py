"""amqtt as a process of its own: an MQTT 3.1.1 broker in Python, for a machine without mosquitto.

``python -m iothub.servers.amqtt_broker --port P --ingestion-port Q --ready-topic T`` serves ingestion at once, and
devices once ingestion has left its mark: what comes in before anybody subscribes is acknowledged and dropped. It ends
with SIGTERM or with the process that started it.

Three things are done for amqtt here, over its public interface:

* A client of another protocol version is told so. amqtt reads an MQTT 5 CONNECT as if it were one of 3.1.1, and waits
  for the rest of it for ever.
* Nobody is asked for a name, and nobody is anonymous: amqtt keeps no session for anonymous clients, and ingestion's
  would lose what comes in while it is away for a moment.
* The devices' listener opens with the mark.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import signal
import sys
from importlib.metadata import version as find_installed
from pathlib import Path

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter  # type: ignore[import-untyped]
from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseAuthPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from iothub.servers.failures import Cause, explain, read_last_run
from iothub.servers.lifetime import is_orphan
from iothub.servers.ports import LOOPBACK, is_open
from iothub.servers.program import Program
from iothub.servers.server import MqttServer

LIMITS = (
    "amqtt speaks MQTT 3.1.1: no message properties (an id of one's own, a traceparent), no shared subscriptions.",
    "amqtt keeps everything in memory: what is on its way when it or ingestion is killed is lost.",
)
"""What amqtt does not promise, for the screen."""

_PROTOCOL_LEVEL = 4
_REFUSED = bytes((0x20, 2, 0, 1))
"""CONNACK: unacceptable protocol version [MQTT-3.1.2-2], in the form that every version reads."""
_HEAD_SECONDS = 10
_LOOK_EVERY = 0.5
_LISTENER = "default"
_CONNECT = 0x10
_LONGEST_PROTOCOL_NAME = len("MQIsdp")

_CAUSES = (
    Cause(
        re.compile(
            r"error while attempting to bind on address \('[^']*', (\d+)\): \[?[^\n]*(?i:address already in use)"
        ),
        "port {0} is taken by another program; free it, or choose another with --mqtt-port",
    ),
)
_RUN_BEGINS = re.compile(r"amqtt \S+ starts")

log = logging.getLogger("iothub.amqtt")


def prepare_amqtt(*, port: int, ingestion_port: int, ready_topic: str) -> MqttServer:
    """Return what to run."""
    command = (
        *(sys.executable, "-m", "iothub.servers.amqtt_broker"),
        *("--port", str(port), "--ingestion-port", str(ingestion_port), "--ready-topic", ready_topic),
    )
    return MqttServer(
        program=Program(
            name="mqtt",
            command=command,
            is_ready=lambda: is_open(ingestion_port),
            start_seconds=30,
            stop_seconds=10,
        ),
        port=port,
        ingestion_port=ingestion_port,
        version=_PROTOCOL_LEVEL,
        software=f"amqtt {find_installed('amqtt')}",
        explain_failure=explain_failure,
        limits=LIMITS,
    )


def explain_failure(log_file: Path) -> str | None:
    """Return why the last run, whose output is in ``log_file``, did not start, or None where it does not tell."""
    return explain(read_last_run(log_file, _RUN_BEGINS), _CAUSES)


class OpenDoor(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everyone in, as somebody: amqtt keeps the sessions only of those who are not anonymous."""

    async def authenticate(self, *, session: Session) -> bool:
        """Return True."""
        session.is_anonymous = False
        return True


class HubBroker(Broker):  # type: ignore[misc]
    """amqtt without listeners of its own; ``marked`` is set once a retained message lies on the ready topic."""

    def __init__(self, ready_topic: str) -> None:
        super().__init__(
            BrokerConfig(
                listeners={_LISTENER: ListenerConfig(type=ListenerType.EXTERNAL)},
                plugins={f"{OpenDoor.__module__}.{OpenDoor.__qualname__}": {}},
            )
        )
        self.marked = asyncio.Event()
        self._ready_topic = ready_topic

    async def retain_message(
        self,
        source_session: Session | None,
        topic_name: str | None,
        data: bytes | bytearray | None,
        qos: int | None = None,
    ) -> None:
        """Keep a retained message, or forget it where it is empty."""
        await super().retain_message(source_session, topic_name, data, qos)
        if topic_name == self._ready_topic and data:
            self.marked.set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, or tell its client that it speaks another version."""
        try:
            head, level = await asyncio.wait_for(read_head(reader), _HEAD_SECONDS)
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            writer.close()  # somebody who only looked whether the port is open
            return
        if level not in {None, _PROTOCOL_LEVEL}:
            log.info("refused a client of protocol level %s", level)
            writer.write(_REFUSED)
            writer.close()
            return
        await self.external_connected(_Replay(head, reader), StreamWriterAdapter(writer), _LISTENER)


async def read_head(reader: asyncio.StreamReader) -> tuple[bytes, int | None]:
    """Return the first bytes of a connection, and the protocol level where they are a CONNECT's that names one."""
    head = await reader.readexactly(2)
    if head[0] != _CONNECT:
        return head, None
    while head[-1] & 0x80 and len(head) < 5:  # the packet's length, up to four bytes [MQTT-2.2.3]
        head += await reader.readexactly(1)
    size = await reader.readexactly(2)
    head += size
    length = int.from_bytes(size, "big")
    if length > _LONGEST_PROTOCOL_NAME:
        return head, None
    head += await reader.readexactly(length + 1)
    return head, head[-1]


class _Replay(StreamReaderAdapter):  # type: ignore[misc]
    """A connection whose first bytes have been read already."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        """Return the next ``n`` bytes."""
        if self._head and n == -1:
            n = len(self._head)
        found, self._head = self._head[:n], self._head[n:]
        if len(found) < n or n == -1:
            found += await super().read(n - len(found) if n != -1 else n)
        return found


async def serve(*, port: int, ingestion_port: int, ready_topic: str) -> None:
    """Serve until SIGTERM, SIGINT, or the end of the process that started this one."""
    broker, ended = HubBroker(ready_topic), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await broker.start()
    servers = [await asyncio.start_server(broker.take, LOOPBACK, ingestion_port)]
    try:
        while not (ended.is_set() or is_orphan()):
            if len(servers) == 1 and broker.marked.is_set():
                servers.append(await asyncio.start_server(broker.take, LOOPBACK, port))
                log.info("devices may come, on port %s", port)
            await _wait_for_any(ended, *([broker.marked] if len(servers) == 1 else []))
    finally:
        for server in servers:
            server.close()
        await broker.shutdown()


async def _wait_for_any(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def main() -> None:
    """Run the broker as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m iothub.servers.amqtt_broker", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ingestion-port", type=int, required=True)
    parser.add_argument("--ready-topic", required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    log.setLevel(logging.INFO)
    log.info("amqtt %s starts", find_installed("amqtt"))
    asyncio.run(serve(port=arguments.port, ingestion_port=arguments.ingestion_port, ready_topic=arguments.ready_topic))


if __name__ == "__main__":
    main()
