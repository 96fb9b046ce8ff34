"""A fleet behind one MQTT connection that notes every message for which a PUBACK came, and sends the others again.

What it holds beside paho: paho keeps a message until its PUBACK and sends it again, under the same packet id, on the
next connection; which number has which packet id, and what the PUBACK said, is noted here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from faults.fleet import Fleet
from faults.messages import Recipe
from support.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from paho.mqtt.reasoncodes import ReasonCode

    from faults.messages import Sent

__all__ = ["MqttFleet"]

WINDOW = 500
"""Messages on their way to the broker at a time."""


class MqttFleet(Fleet):
    """Publishes at QoS 1, ``rate`` messages a second at most, ``window`` of them on their way at a time."""

    def __init__(self, port: int, *, rate: float = 2500.0, size: int = 290, window: int = WINDOW) -> None:
        super().__init__(Recipe(size))
        self.refused: dict[int, str] = {}
        """Those that the broker has answered with a reason not to take them."""
        self._sent = 0
        self._newest = 0.0
        self._rate = rate
        self._window = window
        self._numbers: dict[int, int] = {}
        self._answers: deque[tuple[int, float, ReasonCode]] = deque()
        self._limit: int | None = None
        self._go = threading.Event()
        self._over = threading.Event()
        self._idle = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, "fleet", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_inflight_messages_set(window)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._on_publish
        self._client.connect_async("127.0.0.1", port, clean_start=False)
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def __enter__(self) -> Self:
        self._client.loop_start()
        # paho sends what was published before the first connection beside what is published then, in no order.
        wait_until(self._client.is_connected, what="the fleet's connection")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._go.set()
        self._thread.join(30)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def sent(self) -> int:
        """How many messages were handed to paho."""
        return self._sent

    def begin(self) -> None:
        """Publish from now on."""
        self._limit = None
        self._idle.clear()
        self._go.set()

    def pause(self) -> None:
        """Publish nothing new. What is on its way stays there."""
        self._go.clear()
        wait_until(self._idle.is_set, what="the fleet's pause")
        self._raise()

    def publish(self, count: int, *, timeout: float = 120.0) -> None:
        """Publish ``count`` messages more, and return once all of them are acknowledged."""
        self._limit = self._sent + count
        self._idle.clear()
        self._go.set()
        wait_until(self._idle.is_set, timeout=timeout, what=f"the fleet to have sent {count} messages")
        self.settle(timeout=timeout)

    def settle(self, *, timeout: float = 120.0) -> None:
        """Publish nothing new, and return once every message sent is acknowledged."""
        self.pause()
        wait_until(
            self._is_answered,
            timeout=timeout,
            what="the broker's answers to everything sent",
            hint=lambda: f"{self.sent} sent, {len(self.acknowledged)} acknowledged, {len(self.refused)} refused",
        )

    def is_held_up(self, seconds: float) -> bool:
        """Return whether the broker has acknowledged something once, and nothing for so many seconds."""
        return bool(self.acknowledged) and self.seconds - self._newest > seconds

    def _is_answered(self) -> bool:
        self._note_answers()
        return len(self.acknowledged) + len(self.refused) == self.sent

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                if not self._go.is_set() or self.sent == self._limit:
                    self._go.clear()
                    self._idle.set()
                    self._go.wait()
                    began, before = time.monotonic(), self.sent
                    continue
                self._note_answers()
                ahead = (self.sent - before) / self._rate - (time.monotonic() - began)
                if ahead > 0 or self.sent - len(self.acknowledged) - len(self.refused) >= self._window:
                    self._over.wait(max(ahead, 0.001))
                    continue
                self._send(self.recipe.build(self._sent))
        except BaseException as error:  # handed to the test
            self._error = error
            self._idle.set()

    def _send(self, message: Sent) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if message.own_id is not None:
            properties.UserProperty = [("id", message.own_id)]
        info = self._client.publish(message.topic, message.payload, qos=1, properties=properties)
        self._numbers[info.mid] = self._sent
        self._sent += 1

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        # Only noted: `publish` may not have told us yet which number has this packet id.
        self._answers.append((mid, self.seconds, reason))

    def _note_answers(self) -> None:
        while self._answers:
            mid, at, reason = self._answers[0]
            number = self._numbers.pop(mid, None)
            if number is None:
                return  # its `publish` is about to return
            self._answers.popleft()
            if reason.is_failure:
                self.refused[number] = str(reason)
            else:
                self.acknowledged[number] = self._newest = at
