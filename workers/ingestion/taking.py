"""Takes what comes in on the connection, and acknowledges it once Kafka has it.

What can't be taken now stays unacknowledged, and so does all that comes behind it: a device's messages keep their
order. The session sends it again on the next connection, and only then, so `Taker.given_up` asks for one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import structlog

from ingestion.acks import AckWindow, Ticket
from ingestion.intake import Intake
from ingestion.mqtt_metrics import IN_FLIGHT_BYTES
from ingestion.publish_packets import Publish
from ingestion.record import DeviceTemplate, Header, MqttRecords, PropertyBounds, at
from ingestion.settings import MqttSettings
from telemetry import metrics
from telemetry.errors import DeliveryError

_LOOK_SECONDS = 0.05

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why the broker has to send again: Kafka did not take a message, or there was no room for one."""

    reason: Literal["failed", "no_room"]
    why: str


class Taker:
    """The way of messages from the connection into Kafka, and of acknowledgements back.

    ``add_puback`` adds one to the connection, ``flush`` sends what was added. `take` is for the thread that reads,
    everything else for any. There may be ``most_messages`` on their way to Kafka, of all connections together.
    """

    def __init__(
        self,
        settings: MqttSettings,
        intake: Intake,
        *,
        most_messages: int,
        add_puback: Callable[[int], None],
        flush: Callable[[], None],
    ) -> None:
        self._intake = intake
        self._flush = flush
        self._most_messages = most_messages
        self._most_bytes = settings.max_in_flight_bytes
        self._patience = settings.keepalive_seconds / 2
        """Seconds to wait for room without reading. The broker hears nothing from us meanwhile but PUBACKs."""
        self._skips_retained = settings.retained == "skip"
        self._records = MqttRecords(
            [DeviceTemplate(template) for template in settings.device_template],
            PropertyBounds(settings.max_user_properties, settings.max_user_property_bytes),
        )
        self._acks = AckWindow(add_puback)
        self._lock = threading.Lock()
        self._is_open = True
        self._passes_over = False
        self._ending = threading.Event()
        self.given_up: GivenUp | None = None
        self.last_message = self.last_taken = time.monotonic()
        """When something came in, and when Kafka has taken something (monotonic clock)."""
        self._ack_seconds = metrics.INGESTION_ACK_SECONDS.labels("mqtt")
        self._skipped = metrics.INGESTION_MESSAGES.labels("mqtt", "skipped")
        metrics.INGESTION_IN_FLIGHT.labels("mqtt").set_function(lambda: len(self._acks))
        IN_FLIGHT_BYTES.set_function(lambda: intake.queued_bytes)

    @property
    def unacknowledged(self) -> int:
        """How many messages of the present connection wait for their acknowledgement."""
        return len(self._acks)

    def take(self, messages: Sequence[Publish]) -> None:
        """Hand over to Kafka what has come in with one read."""
        try:
            with self._lock:
                self.last_message = time.monotonic()
                received_at = at(datetime.now(UTC))
                for message in messages:
                    if not self._is_open or self._passes_over or self.given_up is not None:
                        break
                    if not self._make_room(len(message.payload)):
                        break
                    self._take_one(message, received_at)
            self.poll(0)
        except Exception as error:
            # Raised on, it would end paho's thread; swallowed, it would strand slots. So: again, and seen.
            log.exception("messages not handed to Kafka")
            self.given_up = GivenUp("failed", f"{type(error).__name__}: {error}")

    def poll(self, timeout: float) -> None:
        """Serve Kafka's reports, waiting up to ``timeout`` seconds for one, and send the acknowledgements."""
        self._intake.poll(timeout)
        self._flush()

    def has_room(self, size: int = 0) -> bool:
        """Return whether a payload of ``size`` bytes can be taken; a single one always can."""
        queued = self._intake.queued
        fits = self._intake.queued_bytes + size <= self._most_bytes and queued < self._most_messages
        return fits or not queued

    def forget_connection(self) -> None:
        """Note that the connection is over: nothing that came on it can be acknowledged any more."""
        self._acks.close()

    def begin_again(self) -> None:
        """Take what comes on the next connection."""
        self.given_up = None
        self._passes_over = False

    def pass_over(self) -> None:
        """Take nothing on this connection: what comes stays unacknowledged."""
        self._passes_over = True

    def close(self) -> None:
        """Take nothing more: once this returns, no message is handed to Kafka behind a flush."""
        self._ending.set()
        with self._lock:
            self._is_open = False

    def _make_room(self, size: int) -> bool:
        if self.has_room(size):
            return True
        deadline = time.monotonic() + self._patience
        while not self.has_room(size):
            if time.monotonic() > deadline or self._ending.is_set():
                waiting = f"{self._intake.queued} messages of {self._intake.queued_bytes} bytes wait for Kafka"
                self.given_up = GivenUp("no_room", waiting)
                log.warning("no room, the broker keeps what comes in", why=waiting)
                return False
            self.poll(_LOOK_SECONDS)
        return True

    def _take_one(self, message: Publish, received_at: Header) -> None:
        ticket = self._acks.add(message.mid) if message.qos else None
        if message.retained and self._skips_retained:
            self._skipped.inc()
            if ticket is not None:
                self._acks.settle(ticket)
            return
        record = self._records.build(
            message.topic,
            message.payload,
            received_at=received_at,
            user_properties=message.user_properties,
            content_type=message.content_type,
            retained=message.retained,
        )
        self._intake.submit(record, _Taken(self, ticket, self.last_message))

    def _note(self, taken: _Taken, error: DeliveryError | None) -> None:
        if error is not None:
            self.given_up = GivenUp("failed", str(error))
            return
        self.last_taken = now = time.monotonic()
        self._ack_seconds.observe(now - taken.arrived)
        if taken.ticket is not None:
            self._acks.settle(taken.ticket)


class _Taken:
    """What is called when Kafka has a message."""

    __slots__ = ("_taker", "arrived", "ticket")

    def __init__(self, taker: Taker, ticket: Ticket | None, arrived: float) -> None:
        self._taker = taker
        self.ticket = ticket
        self.arrived = arrived

    def __call__(self, error: DeliveryError | None) -> None:
        self._taker._note(self, error)
