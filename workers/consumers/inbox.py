"""Messages that have come in and are not in hand yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from consumers.holds import Partition
from telemetry.errors import FatalKafkaError

_LONGEST_BLOCK = 0.1
"""Longest single wait inside librdkafka, in seconds: a signal is served in between."""
_MOST_BYTES = 16 * 1024 * 1024
"""Bytes of values after which no more is waited for: a handler has them several times over, decoded too."""
_MOST_AT_ONCE = 250
"""Messages that are asked for in one call: of how large they are only those before them tell."""
_FIRST_GUESS = 64 * 1024
_SAMPLE = 32

log = structlog.get_logger(__name__)


class Inbox:
    """Collects messages for one iteration.

    ``most`` bounds it, and ``most_bytes`` about: a call may bring more where messages grow all of a sudden. ``timeout``
    is how long, in seconds, the first message is waited for, and with ``batch`` how long the others are after it.
    """

    def __init__(
        self,
        *,
        most: int,
        timeout: float,
        batch: bool,
        stopping: Callable[[], bool],
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._timeout = timeout
        self._batch = batch
        self._stopping = stopping
        self._messages: list[Message] = []
        self._bytes = 0
        self._size = _FIRST_GUESS
        """Bytes of a message, as the last ones were."""

    def __len__(self) -> int:
        return len(self._messages)

    def take(self) -> list[Message]:
        """Return what has come in and forget it."""
        messages, self._messages = self._messages, []
        self._bytes = 0
        return messages

    @property
    def is_full(self) -> bool:
        """Whether no more is to come in before `take`."""
        return len(self._messages) >= self._most or self._bytes >= self._most_bytes

    def drop(self, partitions: set[Partition]) -> None:
        """Forget the messages of partitions that have a new owner."""
        self._messages = [m for m in self._messages if (m.topic(), m.partition()) not in partitions]
        self._bytes = sum(map(len, self._messages))

    def look(self, client: Consumer) -> None:
        """Take in what is there, and serve the group, without waiting."""
        self._consume(client, max(1, self._most - len(self)), 0)

    def collect(self, client: Consumer, until_due: float | None) -> None:
        """Wait for a first message, then, in batch mode, for a full batch; at most ``until_due`` seconds."""
        deadline = time.monotonic() + (self._timeout if until_due is None else min(self._timeout, until_due))
        filling = False
        while not self._stopping() and not self.is_full:
            left = deadline - time.monotonic()
            if filling or left <= 0:
                self._consume(client, self._most - len(self), max(0.0, min(left, _LONGEST_BLOCK)))
                if left <= 0 or not self._batch:
                    return
            else:
                # Alone, the first message is not kept waiting for company that may not come.
                self._consume(client, 1, min(left, _LONGEST_BLOCK))
                if self._messages:
                    filling = True
                    deadline = time.monotonic() + (self._timeout if self._batch else 0.0)

    def accept(self, messages: Sequence[Message]) -> None:
        """Take ``messages`` in. Raises FatalKafkaError where one says that the client can't go on."""
        errors = list(map(Message.error, messages))
        if not any(errors):
            self._messages += messages
            self._weigh(messages)
            return
        for message, error in zip(messages, errors, strict=True):
            if error is None:
                self._messages.append(message)
                self._weigh([message])
            elif error.fatal():
                raise FatalKafkaError(f"the consumer can't go on: {error.str()}")
            elif error.code() != KafkaError._PARTITION_EOF:
                log.warning("consumer reports", code=error.name(), why=error.str(), topic=message.topic())

    def _weigh(self, messages: Sequence[Message]) -> None:
        if messages:
            # Of many, some tell for all: to ask each would cost as much as all else that is done for it here.
            sample = messages[:: 1 + len(messages) // _SAMPLE]
            size = sum(map(len, sample)) * len(messages) // len(sample)
            self._bytes += size
            self._size = max(1, size // len(messages))

    def _consume(self, client: Consumer, most: int, wait: float) -> None:
        that_fit = max(1, (self._most_bytes - self._bytes) // self._size)
        try:
            messages = client.consume(min(most, that_fit, _MOST_AT_ONCE), wait)
        except KafkaException as error:
            # confluent-kafka tells of a fatal error so, and of no other.
            raise FatalKafkaError(f"the consumer can't go on: {error.args[0].str()}") from error
        self.accept(messages)
