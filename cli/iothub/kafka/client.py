"""The clients of a Kafka that is looked into: made in one place, quiet, and every trouble told in one sentence.

Nothing here joins a group or commits: who looks changes nothing. Only `dlq replay` asks for a producer.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata, TopicMetadata

from consumers.config import ConsumerConfig
from iothub.errors import Unavailable, UsageError
from iothub.target import Target
from producers.config import ProducerConfig
from telemetry.errors import ConfigurationError
from telemetry.kafka_config import KafkaConfig

ANSWER_SECONDS = 8.0
"""How long Kafka may take to answer a first time."""
REQUEST_SECONDS = 15.0
"""How long it may take to answer a request, once it has answered at all."""
_REFUSED_SECONDS = 2.0
"""After this long, an address where nobody listens is given up; before, another address of the same name may answer."""
_TRY_SECONDS = 1.0
_PAUSE = 0.2
_MOCK_CLUSTER = "mockCluster"
"""How librdkafka's mock cluster begins its id."""
_LOOKING_GROUP = "iothub-looks"
"""A consumer has to name a group; without a commit or a subscription Kafka never hears of it."""

_NOBODY_THERE = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._ALL_BROKERS_DOWN})
_TIMED_OUT = frozenset({KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.REQUEST_TIMED_OUT})
_NOT_LET_IN = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._FATAL}
)

IN_MEMORY_GROUPS = (
    "This Kafka is in memory and can't list its groups: shown are those of the hub, or those that you name, "
    "without state and members."
)
"""For a person, where groups are asked about on librdkafka's mock cluster."""

_POINT = re.compile(r"(?:\S+/\S+: )?(?:Connect to \S+ failed: )?(?P<point>.*?)(?: \(after .*)?", re.DOTALL)

Place = tuple[str, int]
"""A topic's partition."""

# librdkafka logs to standard error by itself; what matters comes as an error too.
_SILENT = logging.getLogger("iothub.kafka.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Kafka:
    """A Kafka that has answered. Made by `connect`; its methods raise Unavailable where it stops answering."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._problem: KafkaError | None = None
        self.is_away = False
        """Whether no broker has answered the consumer of late."""
        with _explained_properties():
            config = target.load(KafkaConfig).to_librdkafka()
            self.admin = AdminClient(config | {"error_cb": self.note, "log_level": 3}, logger=_SILENT)
        self.cluster = self._meet()
        # What went wrong on the way, such as another address of the same name, is no reason for anything later.
        self._problem = None

    @property
    def in_memory(self) -> bool:
        """Whether this is librdkafka's mock cluster, whatever it was found by."""
        return (self.cluster.cluster_id or "").startswith(_MOCK_CLUSTER)

    def note(self, error: KafkaError) -> None:
        """Take an error that a client reports by its callback; the most telling one is kept for the sentence."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._problem = error

    def _note_away(self, error: KafkaError) -> None:
        self.is_away = self.is_away or error.code() == KafkaError._ALL_BROKERS_DOWN
        self.note(error)

    def fail(self, error: KafkaError | None = None) -> NoReturn:
        """Raise Unavailable with what is known about why Kafka does not answer."""
        raise Unavailable(explain_silence(self.target.bootstrap_servers, self._problem or error)) from None

    def read_metadata(self) -> Mapping[str, TopicMetadata]:
        """Return every topic as Kafka has it now.

        Always all of them: asking for one by name would create it where topics are made by first use.
        """
        try:
            self.cluster = self.admin.list_topics(timeout=REQUEST_SECONDS)
        except KafkaException as error:
            self.fail(error.args[0])
        return self.cluster.topics

    def find_topic(self, name: str) -> TopicMetadata:
        """Return a topic; raises UsageError, with the name that may have been meant, where there is none."""
        topics = self.read_metadata()
        if name not in topics:
            raise UsageError(build_missing_sentence("topic", name, topics, self.target.title))
        return topics[name]

    def read_watermarks(self, places: Iterable[Place], *, patience: float = 0.0) -> dict[Place, tuple[int, int]]:
        """Return the earliest offset and the next one to be written, of every partition that can tell.

        Those that can't, since they have no leader or are just being deleted, are asked again for ``patience``
        seconds. Where none can, `fail` knows why.
        """
        left = [TopicPartition(*place) for place in places]
        found: dict[Place, tuple[int, int]] = {}
        deadline = time.monotonic() + patience
        while left:
            low, _ = self._read_offsets(left, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            high, problem = self._read_offsets(left, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            found |= {place: (low[place], high[place]) for place in low if place in high}
            left = [place for place in left if (place.topic, place.partition) not in found]
            if time.monotonic() >= deadline:
                if not found and problem is not None:
                    self._problem = problem
                    if problem.code() in _TIMED_OUT:
                        self.fail()
                return found
            if left:
                time.sleep(_PAUSE)
                # The client remembers that there was no leader, and would not ask by itself.
                self.read_metadata()
        return found

    @contextmanager
    def open_consumer(self, **properties: object) -> Iterator[Consumer]:
        """Yield a consumer to `assign` partitions to; it commits nothing."""
        config = self.target.load(ConsumerConfig, group_id=_LOOKING_GROUP, group_protocol="classic").to_librdkafka()
        quiet: dict[str, Any] = {"enable.auto.commit": False, "error_cb": self._note_away, "log_level": 3}
        with _explained_properties():
            consumer = Consumer(config | quiet | properties, logger=_SILENT)
        try:
            yield consumer
        finally:
            consumer.close()

    def make_producer(self, config: ProducerConfig) -> Producer:
        """Return a producer; plain, so that nothing of it is logged."""
        quiet: dict[str, Any] = {"error_cb": self.note, "log_level": 3}
        with _explained_properties():
            return Producer(config.to_librdkafka() | quiet, logger=_SILENT)

    def _meet(self) -> ClusterMetadata:
        began = time.monotonic()
        while True:
            try:
                return self.admin.list_topics(timeout=_TRY_SECONDS)
            except KafkaException as error:
                self.admin.poll(0)
                problem = self._problem or error.args[0]
                passed = time.monotonic() - began
                refused = problem.code() in _NOBODY_THERE and passed >= _REFUSED_SECONDS
                if refused or problem.code() in _NOT_LET_IN or passed >= ANSWER_SECONDS:
                    self.fail(problem)

    def _read_offsets(
        self, places: list[TopicPartition], spec: OffsetSpec
    ) -> tuple[dict[Place, int], KafkaError | None]:
        """Return the offsets of the partitions that can tell, and what one of the others says."""
        found: dict[Place, int] = {}
        problem: KafkaError | None = None
        answers = self.admin.list_offsets(dict.fromkeys(places, spec), request_timeout=REQUEST_SECONDS)
        for place, future in answers.items():
            try:
                found[place.topic, place.partition] = future.result(REQUEST_SECONDS + 1).offset
            except KafkaException as error:
                problem = error.args[0]
                if problem.code() in _NOBODY_THERE:
                    self.fail(problem)
        return found, problem


def connect(where: Target | Kafka) -> Kafka:
    """Return the Kafka of a target once it answers; one that has answered is passed on. Raises Unavailable."""
    return where if isinstance(where, Kafka) else Kafka(where)


def build_missing_sentence(what: str, name: str, known: Collection[str], title: str) -> str:
    """Return the sentence for a ``what`` called ``name`` that is not there, with the name that may have been meant."""
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"`iothub {what}s` lists what there is"
    return f"there is no {what} {name!r} in {title}; {hint}"


def explain_silence(address: str, error: KafkaError | None) -> str:
    """Return the sentence for a Kafka at ``address`` that does not answer, or does not let us in."""
    why = _shorten(error.str()) if error is not None else "no answer in time"
    if error is not None and error.code() in _NOT_LET_IN:
        return f"Kafka at {address} does not let us in: {why}; look at the KAFKA_* variables"
    if error is not None and error.code() not in _NOBODY_THERE | _TIMED_OUT:
        return f"Kafka at {address} says: {why}"
    default = str(KafkaConfig.model_fields["bootstrap_servers"].default)
    remedy = (
        "start a hub with `iothub up`, or name a Kafka with --bootstrap-servers"
        if address == default
        else "look at the address"
    )
    return f"no Kafka answers at {address}: {why}; {remedy}"


def _shorten(text: str) -> str:
    """Return the point of ``HOST/bootstrap: Connect to ipv4#ADDRESS failed: POINT (after 0ms in state CONNECT)``."""
    match = _POINT.fullmatch(text)
    return (match["point"] if match else text).rstrip(".")


@contextmanager
def _explained_properties() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise ConfigurationError(f"KAFKA_PROPERTIES: {error.args[0].str()}") from error
