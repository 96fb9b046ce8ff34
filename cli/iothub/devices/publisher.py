"""Sends messages by a schedule, and knows of each whether the other side has it: a broker (QoS 1), or HTTP ingestion.

A device's messages go over one connection, one behind the other, so that their order holds. What was not acknowledged
is sent again after a reconnect, with the same bytes: it may then be there twice, with the same id.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from queue import Empty, SimpleQueue

from iothub.devices.connection import Answer, Connection, MqttConnection, OldProtocol
from iothub.devices.counts import Counts
from iothub.devices.http_connection import HttpConnection
from iothub.devices.message import Message, Planned
from iothub.target import HttpTarget, MqttTarget

_DEVICES_A_CONNECTION = 10
_MOST_CONNECTIONS = 16
_WINDOW = 100
_LAST_ANSWERS = 10.0
_GIVE_UP = 60.0


def _ignore(_message: Message) -> None:
    pass


class Publisher:
    """Sends what a plan says.

    ``on_sent`` is told each message before it leaves, ``on_acknowledged`` once it was acknowledged; both on the thread
    that calls `run`. ``give_up_seconds`` is how long nothing may be taken before `run` ends, ``last_answers_seconds``
    how long, at the end, it waits for the next answer.
    """

    def __init__(
        self,
        target: MqttTarget | HttpTarget,
        *,
        on_sent: Callable[[Message], None] = _ignore,
        on_acknowledged: Callable[[Message], None] = _ignore,
        give_up_seconds: float = _GIVE_UP,
        last_answers_seconds: float = _LAST_ANSWERS,
    ) -> None:
        self._target = target
        self._on_sent = on_sent
        self._on_acknowledged = on_acknowledged
        self._give_up = give_up_seconds
        self._last_answers = last_answers_seconds
        self._name = f"iothub-{uuid.uuid4().hex[:8]}"
        self._answers: SimpleQueue[Answer | None] = SimpleQueue()
        self._connections: list[Connection] = []
        self._of_device: dict[str, Connection] = {}
        self._stop = threading.Event()
        self.counts = Counts()
        self.problem: str | None = None
        """Why `run` ended before the plan did; None where it did not, or a stop was asked for."""

    @property
    def is_away(self) -> bool:
        """Whether the other side was there and a connection to it is broken now."""
        return any(connection.was_up and not connection.is_up for connection in self._connections)

    @property
    def in_flight(self) -> int:
        """Messages that wait for an answer."""
        return self.counts.unanswered

    def connect(self) -> None:
        """Open the first connection; with MQTT 3.1.1 where the broker does not speak 5. Raises Unavailable."""
        try:
            self._make_connection().open()
        except OldProtocol:
            self._connections.clear()
            if isinstance(self._target, MqttTarget):
                self._target = replace(self._target, version=4)
            self._make_connection().open()

    def stop(self, *_: object) -> None:
        """Ask `run` to end: it sends nothing more, waits for the last answers, and returns. From any thread."""
        self._stop.set()
        self._answers.put(None)

    def run(self, plan: Iterable[Planned]) -> None:
        """Send every message of ``plan`` when it is due, and wait for the answers. Raises Unavailable.

        One that is late, because the other side was slow or away, is sent as soon as there is room, and those behind it
        catch up. Where that stays away it ends: what has no answer then is counted as such.
        """
        try:
            if not self._connections:
                self.connect()
            started = time.monotonic()
            for due, message in plan:
                if not (self._wait_until(started + due) and self._send(message)):
                    break
            self._wait_for_answers()
        finally:
            for connection in self._connections:
                connection.close()

    def _wait_until(self, moment: float) -> bool:
        """Serve answers until ``moment``; False where a stop came first."""
        while not self._stop.is_set():
            left = moment - time.monotonic()
            self._serve(max(0.0, left))
            if left <= 0:
                return True
        return False

    def _send(self, message: Message) -> bool:
        """Send the message once its connection has room; False where that does not come, or a stop comes."""
        connection = self._of_device.get(message.device) or self._assign(message.device)
        patience = time.monotonic() + self._give_up
        while not connection.has_room:
            if self._stop.is_set():
                return False
            if time.monotonic() > patience:
                self.problem = f"{self._target.title} has taken nothing for {self._give_up:.0f} s"
                return False
            self._serve(1.0)
        self.counts.sent += 1
        if message.damage is not None:
            self.counts.damaged[message.damage.kind] += 1
        self._on_sent(message)
        connection.publish(message)
        return True

    def _assign(self, device: str) -> Connection:
        """Return the connection of a new device: one with room for more devices, or a new one, or all in turn."""
        place = len(self._of_device) // _DEVICES_A_CONNECTION
        if place >= len(self._connections) and place < _MOST_CONNECTIONS:
            # It was there a moment ago: where it is away, this one waits like the others.
            self._make_connection().open_later()
        connection = self._connections[place % len(self._connections)]
        self._of_device[device] = connection
        return connection

    def _make_connection(self) -> Connection:
        name = f"{self._name}-{len(self._connections)}"
        connection: Connection
        if isinstance(self._target, MqttTarget):
            connection = MqttConnection(self._target, name, self._answers.put, _WINDOW)
        else:
            connection = HttpConnection(self._target, name, self._answers.put, _WINDOW)
        self._connections.append(connection)
        return connection

    def _serve(self, seconds: float) -> None:
        """Take the answers that are there; where none is, wait for the first for at most ``seconds``."""
        try:
            self._settle(self._answers.get(timeout=seconds))
            while True:
                self._settle(self._answers.get_nowait())
        except Empty:
            pass

    def _settle(self, answer: Answer | None) -> None:
        if answer is None:
            return
        message = answer.connection.outstanding.pop(answer.mid, None)
        if message is None:
            return
        if answer.refusal is not None:
            self.counts.refused += 1
            self.counts.refusals[answer.refusal] += 1
            return
        self.counts.acknowledged += 1
        self.counts.unheard += answer.unheard
        self._on_acknowledged(message)

    def _wait_for_answers(self) -> None:
        last, patience = self.in_flight, time.monotonic() + self._last_answers
        while self.in_flight and time.monotonic() < patience:
            self._serve(0.5)
            if self.in_flight < last:
                last, patience = self.in_flight, time.monotonic() + self._last_answers
