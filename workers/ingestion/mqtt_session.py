"""The session at the broker: connect, subscribe, mark, come back, drain, leave.

Two threads: paho's reads the connection and takes messages; the main thread serves delivery reports, which acknowledge.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingestion import mqtt_client
from ingestion.broker_limits import find_problem, find_warnings, read_limits
from ingestion.intake import Intake
from ingestion.mqtt_client import IngestionClient
from ingestion.mqtt_metrics import BROKER_LIMITS, CONNECTED, CONNECTIONS, REDELIVERIES
from ingestion.protocol import MQTT_5, ProtocolChoice
from ingestion.settings import MqttSettings
from ingestion.taking import GivenUp, Taker
from telemetry import metrics
from telemetry.errors import FatalKafkaError, IotHubError

_POLL = 0.1
_QUIET = 2.0
"""A replica that leaves goes on until nothing has come for this many seconds: what the broker had handed to it."""
_LAST_FLUSH = 20.0
_MARK_EVERY = 3600.0
_STUCK = 30.0
"""Seconds without a delivery after which messages that wait for one show in the readiness."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_ANSWER = 3.0
_UNSUPPORTED_VERSION = 0x84
"""What paho makes of a refusal of the protocol version, in whichever version the broker words it."""
_KEEPALIVE_TIMEOUT = 0x8D

log = structlog.get_logger(__name__)


class MqttSession:
    """One session at the broker, and the way of its messages into Kafka, ``most_messages`` at a time."""

    def __init__(self, settings: MqttSettings, intake: Intake, *, most_messages: int) -> None:
        self._settings = settings
        self._intake = intake
        self._taker = Taker(
            settings,
            intake,
            most_messages=most_messages,
            add_puback=self._add_puback,
            flush=self._flush_pubacks,
        )
        self._choice = ProtocolChoice(settings.protocol)
        self._client = self._make_client()
        self._is_accepted: bool | None = None
        """What the broker has said to this connection's CONNECT; None while it has said nothing."""
        self._stop = threading.Event()
        self._is_leaving = self._is_draining = False
        self._subscribed = False
        self._suback = threading.Event()
        self._unsubscribed_at: float | None = None
        self._problem: str | None = "not connected to the broker yet"
        self._refused: GivenUp | None = None
        self._pause, self._paused_at = _FIRST_PAUSE, 0.0
        self._marked = 0.0
        self._can_retain = True
        self._mark_every = min(_MARK_EVERY, settings.session_expiry_seconds / 4)
        self._turned = self._stuck_since = time.monotonic()
        CONNECTED.set_function(lambda: self._subscribed)

    def run(self) -> None:
        """Ingest until `stop`. Raises FatalKafkaError where the producer can't go on: a new process can."""
        try:
            self._connect()
            while not self._stop.is_set():
                self._turn()
            self._leave()
        finally:
            self._taker.close()
            self._client.loop_stop()
            self._intake.close()

    def stop(self, *_: object) -> None:
        """Ask `run` to end. Takes the arguments of a signal handler."""
        self._stop.set()

    def find_readiness_problem(self) -> str | None:
        """Return why no message can come in, or get into Kafka, now; or None."""
        stuck = time.monotonic() - self._stuck_since
        if self._problem is None and stuck > _STUCK:
            return f"Kafka has taken nothing for {stuck:.0f} s; the broker keeps what comes in"
        return self._problem

    def find_liveness_problem(self) -> str | None:
        """Return why only a restart can help, or None: the main thread turns."""
        still = time.monotonic() - self._turned
        return f"the loop has not turned for {still:.0f} s" if still > 60 + _LONGEST_PAUSE else None

    # --- the main thread ---

    def _turn(self) -> None:
        self._turned = time.monotonic()
        self._taker.poll(_POLL)
        queued = self._intake.queued
        metrics.PRODUCER_QUEUE.set(queued)
        if not queued or self._taker.last_taken > self._stuck_since:
            self._stuck_since = self._turned
        if self._intake.fatal_error is not None:
            # Leaving the connection, too, has the session send again, to the next process.
            raise FatalKafkaError(self._intake.fatal_error)
        if self._client.has_ended:
            raise IotHubError("the thread that reads from the broker has ended; its error stands above in the log")
        given_up = self._taker.given_up or self._refused
        if given_up is not None:
            self._come_back(given_up)
        elif self._version != self._choice.version:
            self._change_protocol()
        elif self._subscribed and self._turned - self._marked > self._mark_every:
            self._publish_mark()

    def _connect(self) -> None:
        mqtt_client.start_connecting(self._client, self._settings)

    def _disconnect(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._taker.forget_connection()

    def _change_protocol(self) -> None:
        """Come back with the other version of MQTT. Raises ConfigurationError where it can't do what is asked for."""
        self._disconnect()
        self._taker.begin_again()
        self._client = self._make_client()
        self._connect()

    def _come_back(self, given_up: GivenUp) -> None:
        """Leave the connection and return: the broker sends again what was never acknowledged, and only then."""
        if given_up.reason == "no_room":
            # First what was taken: once that is acknowledged, none of it comes twice, and there is room again.
            if self._taker.unacknowledged or not self._taker.has_room():
                return
            pause = 0.0
        else:
            # One that lasts is tried more and more rarely.
            recent = self._turned - self._paused_at < 2 * _LONGEST_PAUSE
            self._pause = min(self._pause * 2, _LONGEST_PAUSE) if recent else _FIRST_PAUSE
            pause = self._pause
        log.warning(
            "reconnecting, so that the broker sends again", reason=given_up.reason, why=given_up.why, pause=pause
        )
        REDELIVERIES.labels(given_up.reason).inc()
        self._disconnect()
        self._stop.wait(pause)
        self._paused_at = time.monotonic() if pause else self._paused_at
        self._taker.begin_again()
        self._refused = None
        if not self._stop.is_set():
            self._connect()

    def _leave(self) -> None:
        """End in order: nothing that Kafka has is sent again, and nothing that it does not have is lost."""
        self._is_leaving = True
        shared_out = self._settings.share_group is not None and self._settings.ordinal > 0
        drained = self._drain() if shared_out and self._client.is_connected() else False
        self._taker.close()
        self._intake.flush(_LAST_FLUSH)
        self._client.flush()
        if self._client.is_connected() and not shared_out:
            self._wait_until_broker_has_our_acks()
        # This replica may never come back: a session left behind would keep its share of the messages.
        unacknowledged = self._taker.unacknowledged
        ends_session = drained and not unacknowledged
        log.info("leaving", unacknowledged=unacknowledged, session="ended" if ends_session else "kept")
        mqtt_client.disconnect(self._client, ends_session=ends_session)

    def _wait_until_broker_has_our_acks(self) -> None:
        """Ask for an answer behind the last PUBACK, and read on until it comes.

        The broker works in order. Closing the connection with its next messages unread would reset it, and take the
        last acknowledgements along: their messages would come again.
        """
        if self._version != MQTT_5:
            # A subscription would be sent the retained messages once more.
            with suppress(RuntimeError):  # raised where the connection is lost meanwhile
                mqtt_client.publish_mark(self._client, self._settings).wait_for_publish(_ANSWER)
            return
        self._suback.clear()
        mqtt_client.subscribe(self._client, self._settings)
        self._suback.wait(_ANSWER)

    def _drain(self) -> bool:
        """Unsubscribe, and go on until what the broker had set aside for this replica is through."""
        self._is_draining = True
        self._client.unsubscribe(list(self._settings.filters))
        deadline = time.monotonic() + _LAST_FLUSH
        while time.monotonic() < deadline:
            self._taker.poll(_POLL)
            if self._unsubscribed_at is None or self._taker.unacknowledged or self._taker.given_up is not None:
                continue
            if time.monotonic() - max(self._unsubscribed_at, self._taker.last_message) > _QUIET:
                return True
        return False

    def _add_puback(self, mid: int) -> None:
        self._client.add_puback(mid)

    def _flush_pubacks(self) -> None:
        self._client.flush()

    # --- paho's thread ---

    def _make_client(self) -> IngestionClient:
        self._version = self._choice.version
        client = mqtt_client.make_client(self._settings, self._version, self._taker.take)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = lambda *_: self._taker.forget_connection()
        return client

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._is_accepted = not reason.is_failure
        if reason.is_failure:
            if reason.value == _UNSUPPORTED_VERSION:
                self._choice.note_refusal()
            self._problem = f"the broker refuses the connection: {reason}"
            log.error("connection refused", reason=str(reason), protocol=self._version)
            return
        self._problem = "connected, not subscribed yet"
        CONNECTIONS.inc()
        log.info("connected", session_present=flags.session_present, protocol=self._version)
        if self._is_draining:
            client.unsubscribe(list(self._settings.filters))
        elif not self._choice.note_acceptance():
            # What comes on this connection would lack its properties, its id too; it comes again on the next one.
            self._taker.pass_over()
        elif self._accepts_limits(properties):
            # Also with a session: one that the broker forgot has lost its subscriptions.
            mqtt_client.subscribe(client, self._settings)

    def _accepts_limits(self, properties: Properties | None) -> bool:
        """Tell what the broker says of itself, and return whether messages can come without loss."""
        if self._version != MQTT_5:
            return True  # 3.1.1 tells nothing
        limits = read_limits(properties.json() if properties is not None else {}, self._settings)
        for name, value in limits.as_numbers().items():
            BROKER_LIMITS.labels(name).set(value)
        log.info("broker's limits", **limits.as_numbers())
        for warning in find_warnings(limits, self._settings):
            log.warning("less than asked for", why=warning)
        self._can_retain = limits.retain_available
        problem = find_problem(limits, self._settings)
        if problem is not None:
            self._problem = problem
            log.error("this broker can't serve", why=problem)
        return problem is None

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        self._choice.note_unreachable()
        host, port, why = self._settings.host, self._settings.port, self._client.failure
        self._problem = f"can't reach the broker at {host}:{port}: {why}"
        log.warning("can't reach the broker", host=host, port=port, why=why)

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [
            f"{topic_filter}: {reason}"
            for topic_filter, reason in zip(self._settings.filters, reasons, strict=False)
            if reason.value != 1  # what was asked for; less, QoS 0, promises nothing
        ]
        if refused:
            self._problem = f"the broker refuses the subscription to {', '.join(refused)}"
            log.error("subscription refused", refused=refused)
            self._refused = GivenUp("failed", self._problem)
            return
        self._subscribed, self._problem = True, None
        self._suback.set()
        if self._is_leaving:
            return
        log.info("subscribed", filters=self._settings.filters)
        self._publish_mark()

    def _on_unsubscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        self._unsubscribed_at = time.monotonic()

    def _publish_mark(self) -> None:
        """Say, retained, that the session exists. It expires before the session can, and is refreshed until then."""
        self._marked = time.monotonic()
        # A broker that retains nothing would close the connection for it [MQTT-3.2.2-14].
        if self._settings.ordinal == 0 and self._can_retain:
            mqtt_client.publish_mark(self._client, self._settings)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._subscribed = False
        broken = self._client.connection.problem if self._client.connection is not None else None
        was_accepted, self._is_accepted = self._is_accepted, None
        if was_accepted is False:
            return  # it has said why
        self._problem = broken or f"disconnected from the broker: {reason}"
        if reason.value == 0 and not flags.is_disconnect_packet_from_server:
            return  # we have left it
        if was_accepted:
            self._choice.note_end()
        elif was_accepted is None and reason.value == _KEEPALIVE_TIMEOUT:
            self._problem = "the broker does not answer; if it speaks only MQTT 3.1.1, set MQTT_PROTOCOL to that"
        elif was_accepted is None:
            self._choice.note_close()
        if not self._stop.is_set():
            log.warning("disconnected", reason=broken or str(reason))
