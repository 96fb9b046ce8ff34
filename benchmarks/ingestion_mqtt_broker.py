"""The mosquitto that the benchmarks of ingestion run on, and sessions that wait in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.bench import Bench
from benchmarks.child import BenchmarkFailed, Child, wait_until
from benchmarks.ingestion_mqtt_contenders import Contender
from iothub.servers.mosquitto import find_mosquitto
from iothub.servers.ports import LOOPBACK, free_port, is_open

_SECONDS = 30.0
_EXPIRY = 3600
_MOST_IN_FLIGHT = 1000
"""As our chart has it."""


@contextmanager
def started_mosquitto(bench: Bench) -> Iterator[int]:
    """Start mosquitto, in memory, with queues and windows that hold what comes; yield its port."""
    found = find_mosquitto()
    if found is None:
        raise BenchmarkFailed("mosquitto is not installed (Debian: apt-get install mosquitto)")
    bench.peer_versions["mosquitto"] = str(found).removeprefix("mosquitto ")
    port = free_port()
    config = bench.folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} {LOOPBACK}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        f"max_inflight_messages {_MOST_IN_FLIGHT}\nmax_queued_messages 0\nlog_type error\n"
        # Started by root it becomes another user, who can't read a temporary folder.
        + ("user root\n" if os.geteuid() == 0 else "")
    )
    with Child("mosquitto", [str(found.path), "-c", str(config)], log=bench.log("mosquitto")) as child:

        def is_ready() -> bool:
            child.check()
            return is_open(port)

        wait_until(is_ready, seconds=_SECONDS, what="mosquitto to be ready")
        yield port


def make_session(port: int, contender: Contender) -> None:
    """Make the session that the contender will come back to: it keeps what is published meanwhile."""
    _visit(port, contender, keeps=True)


def end_session(port: int, contender: Contender) -> None:
    """End the session, with what is left in it."""
    _visit(port, contender, keeps=False)


def _visit(port: int, contender: Contender, *, keeps: bool) -> None:
    is_v5 = contender.version == MQTTv5
    client = Client(
        CallbackAPIVersion.VERSION2,
        contender.client_id,
        clean_session=None if is_v5 else not keeps,
        protocol=MQTTProtocolVersion(contender.version),
        manual_ack=True,
    )
    subscribed: list[bool] = []
    client.on_subscribe = lambda *_: subscribed.append(True)
    properties = None
    if is_v5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _EXPIRY if keeps else 0
        # mosquitto 2.0 takes a session's window from the connection that has made it.
        properties.ReceiveMaximum = contender.window
        client.connect(LOOPBACK, port, clean_start=not keeps, properties=properties)
    else:
        client.connect(LOOPBACK, port)
    client.loop_start()
    if keeps:
        wait_until(client.is_connected, seconds=_SECONDS, what="mosquitto's answer")
        client.subscribe("telemetry/+", qos=1)
        wait_until(lambda: subscribed, seconds=_SECONDS, what="a subscription")
    else:
        wait_until(client.is_connected, seconds=_SECONDS, what="mosquitto's answer")
    client.disconnect()
    client.loop_stop()
