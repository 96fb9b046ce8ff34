"""``python -m ingestion.mqtt``: from the MQTT broker into Kafka.

The broker keeps each message until our PUBACK, and our PUBACK goes out from Kafka's delivery report. Whatever dies in
between, the session at the broker sends the message again.

Two threads: paho's reads the connection and submits; the main thread serves delivery reports, which acknowledge.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingestion import mqtt_client
from ingestion.acks import AckWindow, Ticket
from ingestion.intake import Intake
from ingestion.protocol import MQTT_5, ProtocolChoice
from ingestion.record import DeviceTemplate, build_mqtt_record
from ingestion.settings import IngestionSettings, MqttSettings
from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.errors import DeliveryError, FatalKafkaError
from telemetry.health import HealthServer
from telemetry.kafka_config import find_unknown_variables
from telemetry.process import ProcessSettings, find_version, run_process
from telemetry.settings import load_settings

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


class MqttIngestion:
    """One session at the broker, and the way of its messages into Kafka."""

    def __init__(self, settings: MqttSettings, intake: Intake) -> None:
        self._settings = settings
        self._intake = intake
        self._template = DeviceTemplate(settings.device_template)
        self._choice = ProtocolChoice(settings.protocol)
        self._client = self._make_client()
        self._is_accepted: bool | None = None
        """What the broker has said to this connection's CONNECT; None while it has said nothing."""
        self._acks = AckWindow(self._send_puback)
        self._stop = threading.Event()
        self._subscribed = False
        self._suback = threading.Event()
        self._unsubscribed_at: float | None = None
        self._taking = True
        self._taking_lock = threading.Lock()
        self._problem: str | None = "not connected to the broker yet"
        self._redelivery: str | None = None
        self._pause = _FIRST_PAUSE
        self._last_message = time.monotonic()
        self._marked = 0.0
        self._mark_every = min(_MARK_EVERY, settings.session_expiry_seconds / 4)
        self._last_taken = self._stuck_since = time.monotonic()
        self._turned = time.monotonic()
        self._ack_seconds = metrics.INGESTION_ACK_SECONDS.labels("mqtt")
        metrics.INGESTION_IN_FLIGHT.labels("mqtt").set_function(lambda: len(self._acks))

    def run(self) -> None:
        """Ingest until `stop`. Raises FatalKafkaError where the producer can't go on: a new process can."""
        try:
            self._connect()
            while not self._stop.is_set():
                self._turn()
            self._leave()
        finally:
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
        self._intake.poll(_POLL)
        queued = self._intake.queued
        metrics.PRODUCER_QUEUE.set(queued)
        if not queued or self._last_taken > self._stuck_since:
            self._stuck_since = self._turned
        if self._intake.fatal_error is not None:
            raise FatalKafkaError(self._intake.fatal_error)
        if self._redelivery is not None:
            self._reconnect_for_redelivery(self._redelivery)
        elif self._version != self._choice.version:
            self._change_protocol()
        elif self._subscribed and self._turned - self._marked > self._mark_every:
            self._publish_mark()

    def _connect(self) -> None:
        mqtt_client.start_connecting(self._client, self._settings)

    def _change_protocol(self) -> None:
        """Come back with the other version of MQTT. Raises ConfigurationError where it can't do what is asked for."""
        self._client.disconnect()
        self._client.loop_stop()
        self._acks.close()
        self._client = self._make_client()
        self._connect()

    def _reconnect_for_redelivery(self, why: str) -> None:
        """Leave the connection and come back: the broker sends again what was never acknowledged, and only then."""
        log.error("reconnecting, so that the broker sends again what Kafka did not take", why=why, seconds=self._pause)
        self._client.disconnect()
        self._client.loop_stop()
        self._acks.close()
        self._stop.wait(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._redelivery = None
        if not self._stop.is_set():
            self._connect()

    def _leave(self) -> None:
        """End in order: nothing that Kafka has is sent again, and nothing that it does not have is lost."""
        shared_out = self._settings.share_group is not None and self._settings.ordinal > 0
        drained = self._drain() if shared_out and self._client.is_connected() else False
        # Not between a message's check and its submission: it would reach Kafka behind the flush, unacknowledged.
        with self._taking_lock:
            self._taking = False
        self._intake.flush(_LAST_FLUSH)
        if self._client.is_connected() and not shared_out:
            self._wait_until_broker_has_our_acks()
        # This replica may never come back: a session left behind would keep its share of the messages.
        ends_session = drained and not len(self._acks)
        log.info("leaving", unacknowledged=len(self._acks), session="ended" if ends_session else "kept")
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
        self._client.unsubscribe(list(self._settings.filters))
        deadline = time.monotonic() + _LAST_FLUSH
        while time.monotonic() < deadline:
            self._intake.poll(_POLL)
            if self._unsubscribed_at is None or len(self._acks):
                continue
            if time.monotonic() - max(self._unsubscribed_at, self._last_message) > _QUIET:
                return True
        return False

    def _send_puback(self, mid: int) -> None:
        self._client.ack(mid, 1)

    # --- paho's thread ---

    def _make_client(self) -> Client:
        self._version = self._choice.version
        client = mqtt_client.make_client(self._settings, self._version)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = lambda *_: self._acks.close()
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
        limits = properties.json() if properties is not None else {}
        log.info("connected", session_present=flags.session_present, protocol=self._version, limits=limits)
        if self._choice.note_acceptance():
            # Also with a session: one that the broker forgot has lost its subscriptions.
            mqtt_client.subscribe(client, self._settings)

    def _on_connect_fail(self, client: Client, userdata: Any) -> None:
        self._choice.note_unreachable()
        self._problem = f"can't reach the broker at {self._settings.host}:{self._settings.port}"
        log.warning("can't reach the broker", host=self._settings.host, port=self._settings.port)

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        refused = [
            f"{topic_filter}: {reason}"
            for topic_filter, reason in zip(self._settings.filters, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._problem = f"the broker refuses the subscription to {', '.join(refused)}"
            log.error("subscription refused", refused=refused)
            self._redelivery = self._problem
            return
        self._subscribed, self._problem = True, None
        self._suback.set()
        if not self._taking:
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
        if self._settings.ordinal == 0:
            mqtt_client.publish_mark(self._client, self._settings)

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        with self._taking_lock:
            # Else it stays unacknowledged: the session keeps it for whoever comes next. So too behind a message that
            # Kafka did not take, or that one would come after its device's later ones.
            if self._taking and self._redelivery is None:
                self._take(message)

    def _take(self, message: MQTTMessage) -> None:
        self._last_message = time.monotonic()
        ticket = self._acks.add(message.mid) if message.qos else None
        try:
            properties = message.properties
            record = build_mqtt_record(
                message.topic,
                bytes(message.payload),
                device=self._template.find(message.topic),
                user_properties=getattr(properties, "UserProperty", ()),
                content_type=getattr(properties, "ContentType", None),
                received_at=datetime.now(UTC),
            )
            self._intake.submit(record, partial(self._on_taken, ticket, self._last_message))
        except Exception as error:
            # Raised on, it would end paho's thread; swallowed, it would strand the slot. So: again, and seen.
            log.exception("message not handed to Kafka", topic=message.topic)
            self._redelivery = f"{type(error).__name__}: {error}"

    def _on_taken(self, ticket: Ticket | None, arrived: float, error: DeliveryError | None) -> None:
        if error is not None:
            self._redelivery = str(error)
            return
        self._pause = _FIRST_PAUSE
        self._last_taken = time.monotonic()
        self._ack_seconds.observe(self._last_taken - arrived)
        if ticket is not None:
            self._acks.settle(ticket)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._subscribed = False
        self._problem = f"disconnected from the broker: {reason}"
        was_accepted, self._is_accepted = self._is_accepted, None
        if reason.value == 0 and not flags.is_disconnect_packet_from_server:
            return  # we have left it
        if was_accepted:
            self._choice.note_end()
        elif was_accepted is None and reason.value == _KEEPALIVE_TIMEOUT:
            self._problem = "the broker does not answer; if it speaks only MQTT 3.1.1, set MQTT_PROTOCOL to that"
        elif was_accepted is None:
            self._choice.note_close()
        if not self._stop.is_set():
            log.warning("disconnected", reason=str(reason))


def main() -> int:
    """Run MQTT ingestion as the environment says until SIGTERM or SIGINT; return the process's exit code."""
    return run_process(_run)


def _run(process: ProcessSettings) -> None:
    mqtt, kafka, settings = load_settings(MqttSettings), load_settings(ProducerConfig), load_settings(IngestionSettings)
    for name in find_unknown_variables(ProducerConfig):
        log.warning("unknown variable, ignored", variable=name)
    ingestion = MqttIngestion(mqtt, Intake(kafka, settings, source="mqtt", name=mqtt.client_id))
    signal.signal(signal.SIGTERM, ingestion.stop)
    signal.signal(signal.SIGINT, ingestion.stop)
    metrics.BUILD_INFO.labels(find_version(), "ingestion-mqtt").set(1)
    live, ready = {"loop": ingestion.find_liveness_problem}, {"broker": ingestion.find_readiness_problem}
    with HealthServer(process.http_port, live=live, ready=ready):
        ingestion.run()


if __name__ == "__main__":
    sys.exit(main())
