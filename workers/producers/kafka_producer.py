"""`KafkaProducer`: confluent-kafka's producer with our encoding, our errors and a choice for a full queue.

librdkafka is safe to call from several threads, and nothing here adds state that is not. It does not survive a fork:
its threads stay with the parent, and a call in the child would wait for them without end. So there each producer's
client is replaced by something that says so.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Literal, NoReturn, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.codec import encode_json
from telemetry.errors import ConfigurationError, DeliveryError, FatalKafkaError, QueueFull
from telemetry.headers import check_header_names
from telemetry.kafka_config import explain_refusal
from telemetry.names import check_topic_name

OnDelivery = Callable[[DeliveryError | None, Message], None]
"""Called once per message: with None when Kafka has it, else with why it does not."""
_Report = Callable[[KafkaError | None, Message], None]
HeaderValue = str | bytes | None
OnFull = Literal["wait", "raise", "drop"]

Encoded = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Topic, value, key and headers of a message, all of it as Kafka takes it."""

PARTITION_UA = -1
"""librdkafka's word for: the partitioner decides."""

_POLL = 0.05
_FLUSH = 0.1
"""Seconds of one call of confluent-kafka's flush. From 0.2 s on it serves further callbacks with an error pending."""

log = structlog.get_logger(__name__)


class KafkaProducer:
    """Sends messages to one topic (or to any, by `produce`'s ``topic``) and tells what became of each.

        with KafkaProducer(config=ProducerConfig(), topic="telemetry.raw") as producer:
            producer.produce({"device": "DEV-01"}, key="DEV-01")

    Values other than bytes become UTF-8 JSON (see `telemetry.codec.encode_json`); None is a tombstone. Delivery reports
    are served during `produce`, `poll` and `flush`, on whichever thread calls them. Several threads may use one
    producer; a forked process needs its own, and any use of one made before the fork raises FatalKafkaError.

    A full queue is waited for up to ``longest_wait`` seconds, where `produce` is to wait: give it more where messages
    come by the hundred thousand from the first moment, before a connection has been made.

    At its end, ``with`` waits for Kafka as `flush` does, and raises DeliveryError for a failure that no callback was
    told of. Raises ConfigurationError for a setting that librdkafka refuses.
    """

    def __init__(self, config: ProducerConfig, topic: str, *, longest_wait: float = 1.0) -> None:
        self.topic = _checked(topic)
        self._longest_wait = longest_wait
        self._fatal: str | None = None
        self._unheard: list[DeliveryError] = []
        self._last_report: tuple[OnDelivery | None, _Report] = None, _make_report(None, self._unheard)
        self._room = (
            f"it holds {config.queue_max_messages} messages (KAFKA_QUEUE_MAX_MESSAGES) "
            f"or {config.queue_max_kbytes} KiB (KAFKA_QUEUE_MAX_KBYTES)"
        )
        properties = config.to_librdkafka() | {"error_cb": _on_error, "logger": logging.getLogger("librdkafka")}
        try:
            self._producer = Producer(properties)
        except KafkaException as error:
            raise explain_refusal(config, error.args[0].str()) from error
        self._send = self._producer.produce
        _alive.add(self)

    def produce(
        self,
        value: object,
        key: str | bytes | None = None,
        headers: Sequence[tuple[str, HeaderValue]] | Mapping[str, HeaderValue] | None = None,
        *,
        topic: str | None = None,
        on_delivery: OnDelivery | None = None,
        on_full: OnFull = "wait",
    ) -> bool:
        """Queue one message, and return whether it was queued.

        It is False only where the queue is full and ``on_full`` is ``drop`` (which is counted). With ``wait``, the
        queue is given the longest wait before QueueFull is raised; with ``raise`` no time. ``on_delivery`` is called
        once for each message that was queued; what it raises is logged, and disturbs nobody.

        Raises TypeError or ValueError, which names the part, for a value that JSON can't hold; DeliveryError for a
        message that Kafka would never take (too large); FatalKafkaError once the client can't go on.
        """
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal)
        payload = value if value is None or isinstance(value, bytes) else encode_json(value)
        if headers is not None:
            if not isinstance(headers, list):
                headers = list(headers.items() if isinstance(headers, Mapping) else headers)
            check_header_names(headers)
        # Most callers pass the same callback again and again.
        told, report = self._last_report
        if told is not on_delivery:
            report = _make_report(on_delivery, self._unheard)
            self._last_report = on_delivery, report
        target = topic or self.topic
        deadline: float | None = None
        while True:
            try:
                # By position, which is faster: partition, callback, a second name of it, timestamp, headers.
                self._send(target, payload, key, PARTITION_UA, report, None, 0, headers)
                break
            except BufferError:
                if on_full == "drop":
                    metrics.PRODUCER_DROPPED.inc()
                    self.poll(0)
                    return False
                deadline = self._wait_for_room(time.monotonic() if on_full == "raise" else deadline)
            except KafkaException as error:
                raise self._refused(error.args[0], target) from error
        self.poll(0)
        return True

    def produce_encoded(self, messages: Iterable[Encoded], on_failure: Callable[[DeliveryError], None]) -> None:
        """Queue messages that are bytes already, and wait for room as `produce` does.

        Nobody is told of a success: `flush` returns 0 once there is nothing to wait for. ``on_failure`` is called for
        each message that Kafka did not take. For thousands of messages a second: what `produce` checks for each, names
        of headers above all, is the caller's to have checked. Raises QueueFull with the first one that found no room.
        """
        if self._fatal is not None:
            raise FatalKafkaError(self._fatal)

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                on_failure(explain_failure(error, message))

        for topic, value, key, headers in messages:
            deadline: float | None = None
            while True:
                try:
                    self._send(topic, value, key, PARTITION_UA, report, None, 0, headers)  # type: ignore[arg-type]
                except BufferError:
                    deadline = self._wait_for_room(deadline)
                except KafkaException as error:
                    problem = self._refused(error.args[0], topic)
                    if isinstance(problem, FatalKafkaError):
                        raise problem from error
                    on_failure(problem)
                    break
                else:
                    break
        self.poll(0)

    def poll(self, timeout: float = 0) -> int:
        """Serve delivery reports for up to ``timeout`` seconds; return how many events were served."""
        try:
            return self._producer.poll(timeout)
        except KafkaException as error:
            self._note_fatal(error)
            return 1

    def flush(self, timeout: float | None = None) -> int:
        """Wait until Kafka has every message, at most ``timeout`` seconds; return how many are still on their way.

        A message that failed for good is none of them: its delivery report has said so.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _FLUSH if deadline is None else min(_FLUSH, max(0.0, deadline - time.monotonic()))
            try:
                waiting = self._producer.flush(left)
            except KafkaException as error:
                self._note_fatal(error)
                waiting = len(self._producer)
            if not waiting or left < _FLUSH:
                return waiting

    def purge(self) -> None:
        """Give up every message that Kafka does not have yet; each one's delivery report says so."""
        self._producer.purge()
        self.poll(0)

    @property
    def fatal_error(self) -> str | None:
        """Why the client can't go on, or None while it can."""
        return self._fatal

    def find_liveness_problem(self) -> str | None:
        """Return why only a new producer can send, or None: a check for ``/healthz`` (`telemetry.health`)."""
        return self._fatal

    def __len__(self) -> int:
        return len(self._producer)

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Where the body failed in a forked child, its own error says more.
        if isinstance(self._producer, _LeftBehind) and error is not None:
            return
        self.flush()
        unheard = self._unheard[-1:]
        self._unheard.clear()
        if unheard and error is None:
            raise unheard[0]

    def _wait_for_room(self, deadline: float | None) -> float:
        """Wait a moment and return ``deadline``, or the longest wait from now. Raises QueueFull once it has passed."""
        now = time.monotonic()
        if deadline is None:
            deadline = now + self._longest_wait
        if now >= deadline:
            self.poll(0)
            raise QueueFull(f"the producer's queue is full, Kafka takes messages too slowly; {self._room}") from None
        self.poll(_POLL)
        return deadline

    def _refused(self, error: KafkaError, topic: str) -> DeliveryError | FatalKafkaError:
        if error.code() != KafkaError._FATAL:
            return _delivery_error(error, topic)
        # librdkafka refuses before its own event has been served, which brings the cause.
        self.poll(0)
        return FatalKafkaError(self._fatal or _cant_go_on(error))

    def _note_fatal(self, raised: KafkaException) -> None:
        """Remember a fatal error: confluent-kafka raises it, once, out of the call that happens to serve it."""
        error = raised.args[0]
        if not error.fatal():
            raise raised
        self._fatal = _cant_go_on(error)
        log.error("producer can't go on", code=error.name(), why=error.str())

    def _leave_behind(self) -> None:
        if isinstance(self._producer, _LeftBehind):
            return
        # To destroy the client would wait for its threads, too: one reference stays for ever.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
        self._fatal = (
            f"this KafkaProducer was made before a fork, in process {os.getppid()}, and works only there: "
            f"make another one after the fork, in process {os.getpid()}"
        )
        self._producer = _LeftBehind(self._fatal)  # type: ignore[assignment]


class _LeftBehind:
    """Stands in a forked process for the client that stayed with its parent; whatever is asked of it is an error."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def __getattr__(self, name: str) -> NoReturn:
        raise FatalKafkaError(self._problem)

    def __len__(self) -> NoReturn:
        raise FatalKafkaError(self._problem)


_alive: weakref.WeakSet[KafkaProducer] = weakref.WeakSet()


def _leave_all_behind() -> None:
    for producer in tuple(_alive):
        producer._leave_behind()


os.register_at_fork(after_in_child=_leave_all_behind)


def _make_report(on_delivery: OnDelivery | None, unheard: list[DeliveryError]) -> _Report:
    """Return what confluent-kafka is to call for a message of whom ``on_delivery`` hears, or else ``unheard``.

    It does not know the producer: one that is dropped goes at once, with its threads, not when Python looks for cycles.
    """

    if on_delivery is None:

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                unheard[:] = [explain_failure(error, message)]

    else:

        def report(error: KafkaError | None, message: Message) -> None:
            try:
                on_delivery(None if error is None else explain_failure(error, message), message)
            except Exception:
                # Let through, it would hit whichever thread happens to poll, for a message that is not its own.
                log.exception("delivery callback failed", topic=message.topic(), key=_shown(message.key()))

    return report


def explain_failure(error: KafkaError, message: Message) -> DeliveryError:
    """Count and log that Kafka has not taken ``message``, and return why."""
    topic = str(message.topic())
    metrics.PRODUCER_FAILURES.labels(error.name()).inc()
    log.error("message not delivered", topic=topic, key=_shown(message.key()), code=error.name(), why=error.str())
    return _delivery_error(error, topic)


def _on_error(error: KafkaError) -> None:
    log.warning("producer reports", code=error.name(), why=error.str())


def _cant_go_on(error: KafkaError) -> str:
    return f"the producer can't go on, make a new one: {error.str()}"


def _delivery_error(error: KafkaError, topic: str) -> DeliveryError:
    return DeliveryError(f"{topic}: {error.str()}", code=error.name(), fatal=error.fatal())


def _checked(topic: str) -> str:
    try:
        return check_topic_name(topic)
    except ValueError as error:
        raise ConfigurationError(f"topic: {error}") from error


def _shown(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")
