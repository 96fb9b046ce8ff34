"""`KafkaProducer`: confluent-kafka's producer with our encoding, our errors and a choice for a full queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Literal, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producers.config import ProducerConfig
from telemetry import metrics
from telemetry.codec import encode_json
from telemetry.errors import ConfigurationError, DeliveryError, FatalKafkaError, QueueFull
from telemetry.headers import check_header_names
from telemetry.names import check_topic_name

OnDelivery = Callable[[DeliveryError | None, Message], None]
"""Called once per message: with None when Kafka has it, else with why it does not."""
OnFull = Literal["wait", "raise", "drop"]

_LONGEST_WAIT = 1.0
_POLL = 0.05

log = structlog.get_logger(__name__)


class KafkaProducer:
    """Sends messages to one topic (or to any, by `produce`'s ``topic``) and tells what became of each.

        producer = KafkaProducer(config=ProducerConfig(), topic="telemetry.raw")
        producer.produce({"device": "DEV-01"}, key="DEV-01")
        producer.flush()

    Values other than bytes become UTF-8 JSON; None is a tombstone. Delivery reports are served during `produce`,
    `poll` and `flush`, on the thread that calls them. Raises ConfigurationError for a setting that librdkafka refuses.
    """

    def __init__(self, config: ProducerConfig, topic: str) -> None:
        self.topic = _checked(topic)
        self._fatal: str | None = None
        self._room = (
            f"it holds {config.queue_max_messages} messages (KAFKA_QUEUE_MAX_MESSAGES) "
            f"or {config.queue_max_kbytes} KiB (KAFKA_QUEUE_MAX_KBYTES)"
        )
        properties = config.to_librdkafka() | {"error_cb": self._on_error, "logger": logging.getLogger("librdkafka")}
        try:
            self._producer = Producer(properties)
        except KafkaException as error:
            raise ConfigurationError(f"KAFKA_PROPERTIES: {error.args[0].str()}") from error

    def produce(
        self,
        value: object,
        key: str | bytes | None = None,
        headers: Sequence[tuple[str, str | bytes | None]] | None = None,
        *,
        topic: str | None = None,
        on_delivery: OnDelivery | None = None,
        on_full: OnFull = "wait",
    ) -> bool:
        """Queue one message, and return whether it was queued.

        It is False only where the queue is full and ``on_full`` is ``drop``. With ``wait``, up to a second is given to
        the queue before QueueFull is raised; with ``raise`` none. Raises TypeError for a value that JSON can't hold and
        FatalKafkaError once the client can't go on.
        """
        if self._fatal is not None:
            raise FatalKafkaError(f"the producer can't go on, make a new one: {self._fatal}")
        payload = value if value is None or isinstance(value, bytes) else encode_json(value)
        if headers is not None:
            headers = headers if isinstance(headers, list) else list(headers)
            check_header_names(headers)
        report = self._delivered if on_delivery is None else partial(self._delivered_to, on_delivery)
        target = topic or self.topic
        deadline: float | None = None
        while True:
            try:
                self._producer.produce(target, payload, key, headers=headers, on_delivery=report)
            except BufferError:
                if on_full == "drop":
                    metrics.PRODUCER_DROPPED.inc()
                    self._producer.poll(0)
                    return False
                now = time.monotonic()
                deadline = deadline or now + _LONGEST_WAIT
                if on_full == "raise" or now >= deadline:
                    self._producer.poll(0)
                    raise QueueFull(
                        f"the producer's queue is full, Kafka takes messages too slowly; {self._room}"
                    ) from None
                self._producer.poll(_POLL)
            except KafkaException as error:
                raise _delivery_error(error.args[0], target) from error
            else:
                self._producer.poll(0)
                return True

    def poll(self, timeout: float = 0) -> int:
        """Serve delivery reports for up to ``timeout`` seconds; return how many events were served."""
        return self._producer.poll(timeout)

    def flush(self, timeout: float | None = None) -> int:
        """Wait until Kafka has every message, at most ``timeout`` seconds; return how many it still does not have."""
        return self._producer.flush(-1 if timeout is None else timeout)

    def purge(self) -> None:
        """Give up every message that Kafka does not have yet; each one's delivery report says so."""
        self._producer.purge()
        self._producer.poll(0)

    @property
    def fatal_error(self) -> str | None:
        """Why the client can't go on, or None while it can."""
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
        self.flush()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed(error, message)

    def _delivered_to(self, on_delivery: OnDelivery, error: KafkaError | None, message: Message) -> None:
        on_delivery(None if error is None else self._failed(error, message), message)

    def _failed(self, error: KafkaError, message: Message) -> DeliveryError:
        metrics.PRODUCER_FAILURES.labels(error.name()).inc()
        log.error(
            "message not delivered",
            topic=message.topic(),
            key=_shown(message.key()),
            code=error.name(),
            why=error.str(),
        )
        return _delivery_error(error, message.topic() or self.topic)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error.str()
            log.error("producer can't go on", code=error.name(), why=error.str())
        else:
            log.warning("producer reports", code=error.name(), why=error.str())


def _delivery_error(error: KafkaError, topic: str) -> DeliveryError:
    return DeliveryError(f"{topic}: {error.str()}", code=error.name(), fatal=error.fatal())


def _checked(topic: str) -> str:
    try:
        return check_topic_name(topic)
    except ValueError as error:
        raise ConfigurationError(f"topic: {error}") from error


def _shown(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")
