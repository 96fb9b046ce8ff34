"""Putting dead letters back into the topics that they were in, each marked once Kafka has it.

For each dead letter: 1. produce it, 2. wait for Kafka's acknowledgement, 3. write its mark, 4. wait for that one's.
At most `WINDOW` letters are between 1 and 4: those are what a kill can double.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Producer

from iothub.kafka.client import Kafka
from iothub.kafka.letters import Letter, LetterPlace, format_letter_place
from iothub.kafka.marks import build_mark, name_marks_topic
from iothub.kafka.replay_plan import Replay
from producers.config import ProducerConfig
from telemetry.dead_letters import DLQ_MAX_MESSAGE_BYTES
from telemetry.headers import Headers

WINDOW = 100
"""Most dead letters that are on their way and not marked yet."""
_MESSAGE_TIMEOUT_MS = 30_000
_LAST_SECONDS = 65.0
"""How long the end waits for what is on its way: a message's tries, and then its mark's."""
_LONGEST_BLOCK = 0.1
_CATCH_UP = 0.1
"""A replay that is behind its rate by more than this, in seconds, does not make up for it by going faster."""

_ITS_OWN_FAULT = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
    }
)
"""What Kafka says of one message or one topic; after anything else there is no point in going on."""


@dataclass
class ReplayResult:
    """What became of a replay."""

    replayed: int = 0
    failed: dict[LetterPlace, str] = field(default_factory=dict)
    """Dead letters that Kafka did not take back, with why. They are not marked."""
    unmarked: list[LetterPlace] = field(default_factory=list)
    """Replayed, but their marks are not in Kafka: the next replay sends them once more."""
    stopped: str | None = None
    """Why not all were tried."""


class Replayer:
    """Sends replays of one dead-letter topic, at most ``rate`` a second.

    ``stopping`` is asked whether to go on, ``on_done`` is told of each.
    """

    def __init__(
        self,
        kafka: Kafka,
        dlq_topic: str,
        *,
        rate: float,
        stopping: Callable[[], bool] = lambda: False,
        on_done: Callable[[Replay], None] = lambda replay: None,
    ) -> None:
        self._marks_topic = name_marks_topic(dlq_topic)
        self._rate = rate
        self._stopping = stopping
        self._on_done = on_done
        self._producer = _make_producer(kafka)
        self._open = 0
        self._to_mark: deque[Replay] = deque()
        self.result = ReplayResult()

    def run(self, replays: Iterable[Replay]) -> ReplayResult:
        """Send ``replays`` until told to stop, and wait for all that is on its way."""
        due = time.monotonic()
        try:
            for replay in replays:
                self._wait(until=due)
                if self.result.stopped is not None:
                    break
                self._send(replay)
                due = max(due, time.monotonic() - _CATCH_UP) + 1 / self._rate
        finally:
            self._finish()
        return self.result

    def take_back(self, stale: Iterable[LetterPlace]) -> None:
        """Delete marks: compaction drops a key whose last value is null. What is not delivered is tried next time."""
        for place in stale:
            self._produce(self._marks_topic, None, format_letter_place(place).encode(), (), lambda error: None)

    def _wait(self, *, until: float) -> None:
        """Serve deliveries until it is time for the next one and there is room for it."""
        while True:
            self._write_marks()
            if self._stopping():
                self.result.stopped = self.result.stopped or "stopped"
            left = until - time.monotonic()
            if self.result.stopped is not None or (left <= 0 and self._open < WINDOW):
                self._producer.poll(0)
                return
            self._producer.poll(min(max(left, 0.01), _LONGEST_BLOCK))

    def _send(self, replay: Replay) -> None:
        record = replay.letter.record
        self._open += 1
        self._produce(replay.topic, record.value, record.key, replay.headers, partial(self._delivered, replay))

    def _delivered(self, replay: Replay, error: KafkaError | None) -> None:
        if error is None:
            self._to_mark.append(replay)
            return
        self._open -= 1
        self.result.failed[replay.letter.place] = f"{replay.topic}: {error.str()}"
        if error.code() not in _ITS_OWN_FAULT:
            self.result.stopped = self.result.stopped or error.str()

    def _write_marks(self) -> None:
        while self._to_mark:
            replay = self._to_mark.popleft()
            key, value = build_mark(replay.letter, topic=replay.topic, attempt=replay.attempt, at=datetime.now(UTC))
            self._produce(self._marks_topic, value, key, (), partial(self._marked, replay))

    def _marked(self, replay: Replay, error: KafkaError | None) -> None:
        self._open -= 1
        self.result.replayed += 1
        if error is not None:
            self._note_unmarked(replay.letter, error.str())
        self._on_done(replay)

    def _note_unmarked(self, letter: Letter, why: str) -> None:
        self.result.unmarked.append(letter.place)
        self.result.stopped = self.result.stopped or f"{self._marks_topic}: {why}"

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Headers,
        report: Callable[[KafkaError | None], None],
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    topic, value, key, headers=list(headers), on_delivery=lambda error, _: report(error)
                )
            except BufferError:
                self._producer.poll(_LONGEST_BLOCK)
            except KafkaException as error:
                report(error.args[0])
                return
            else:
                return

    def _finish(self) -> None:
        deadline = time.monotonic() + _LAST_SECONDS
        while (self._open or len(self._producer)) and time.monotonic() < deadline:
            self._write_marks()
            self._producer.poll(_LONGEST_BLOCK)


def _make_producer(kafka: Kafka) -> Producer:
    config = kafka.target.load(
        ProducerConfig, message_timeout_ms=_MESSAGE_TIMEOUT_MS, message_max_bytes=DLQ_MAX_MESSAGE_BYTES
    )
    return kafka.make_producer(config)
