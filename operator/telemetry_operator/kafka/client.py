"""The operator's only Kafka admin client: many groups asked about in few round trips, every wait bounded.

librdkafka's admin operations on groups can end the whole process. Measured with 2.16, its issues are open:

*Giving up* (4605). An operation that runs into librdkafka's own timeout before the group's coordinator is found aborts
the process once it is found after all: a Kafka that is frozen for some seconds is enough. So none ever does: they get
an hour, our own patience ends much sooner, and the client goes with it. One that is closed takes along what it waits
for (within 0.13 s, with 200 operations in hand), and the next question gets a new one.

*The wrong coordinator* (5040). Asked for a group's offsets, a broker that is not its coordinator any more, or not yet,
answers so, and the process crashes. Asked for the group's members, it answers the same, and nothing happens. So whoever
wants the offsets of a group asks for its members first, and leaves a group alone that has no good answer to that.

*Asking anew.* librdkafka remembers which broker leads a partition, and an operation on offsets does not correct that.
Reading all topics does; so a pass begins with it. It also shows, at no such risk, whether Kafka is there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, OffsetSpec

from telemetry_operator.errors import SettingsError
from telemetry_operator.kafka.errors import KafkaProblem
from telemetry_operator.kafka.explain import explain, is_telling
from telemetry_operator.kafka.facts import CLASSIC, EMPTY, KIP_848, NO_GROUP, STABLE, Member, Place
from telemetry_operator.kafka.lag import Span
from telemetry_operator.kafka.settings import KafkaSettings

PATIENCE_SECONDS = 8.0
"""How long Kafka may take for one round of questions, however many they are."""
_MEETING_SECONDS = 5.0
"""How long it may take for the first one of a pass; this wait can't be cut short."""
_UNENDING_SECONDS = 3600
"""The longest timeout that librdkafka takes; our own patience ends before, see above."""
_SLICE_SECONDS = 0.5
_NONE_AS_YOUNG = -1
"""Kafka's answer where a partition holds nothing that is as young; anything less is no answer."""

_UNKNOWN = "Unknown"
_STATES = {
    ConsumerGroupState.UNKNOWN: _UNKNOWN,
    ConsumerGroupState.PREPARING_REBALANCING: "PreparingRebalance",
    ConsumerGroupState.COMPLETING_REBALANCING: "CompletingRebalance",
    ConsumerGroupState.STABLE: STABLE,
    ConsumerGroupState.DEAD: NO_GROUP,
    ConsumerGroupState.EMPTY: EMPTY,
}
_PROTOCOLS = {ConsumerGroupType.CLASSIC: CLASSIC, ConsumerGroupType.CONSUMER: KIP_848}

# librdkafka logs to standard error by itself; what matters comes as an error too.
SILENT_LOGGER = logging.getLogger("telemetry_operator.kafka.librdkafka")
SILENT_LOGGER.addHandler(logging.NullHandler())
SILENT_LOGGER.propagate = False


class Committed(NamedTuple):
    """What a group has committed for a partition: the next message's offset, and the text beside it."""

    offset: int
    text: str


class Described(NamedTuple):
    """A group as its coordinator tells of it: as in `facts.GroupView`."""

    state: str
    protocol: str | None
    members: tuple[Member, ...]


class Kafka:
    """One admin client, for one thread at a time. Every method raises KafkaAway where Kafka does not answer.

    What fails for one group alone is its value in the answer, so that the others have theirs.
    """

    def __init__(self, settings: KafkaSettings, *, patience: float = PATIENCE_SECONDS) -> None:
        self.address = settings.bootstrap_servers
        self._properties = settings.to_librdkafka()
        self._patience = patience
        self._said: KafkaError | None = None
        self._stopping = False
        self._admin: AdminClient | None = None
        self._open()

    def close(self) -> None:
        """Let the client go."""
        self._admin = None

    def stop(self) -> None:
        """Have whatever waits for Kafka give up within half a second; from any thread."""
        self._stopping = True

    def read_topics(self) -> dict[str, tuple[int, ...]]:
        """Return every topic with its partitions' numbers.

        Always all of them: asking for one by name would create it where topics are made by first use.
        """
        try:
            topics = self._open().list_topics(timeout=min(self._patience, _MEETING_SECONDS)).topics
        except KafkaException as error:
            self._open().poll(0)  # brings what the client has to say by itself
            raise explain(self._said or error.args[0], self.address) from error
        self._said = None
        return {name: tuple(sorted(topic.partitions)) for name, topic in topics.items() if topic.partitions}

    def describe_groups(self, groups: Collection[str]) -> dict[str, Described | KafkaProblem]:
        """Return state and members of each of ``groups``. Where there is no such group, it is dead and has none."""
        if not groups:
            return {}
        requests = self._open().describe_consumer_groups(list(groups), request_timeout=_UNENDING_SECONDS)
        self._wait(requests.values())
        found: dict[str, Described | KafkaProblem] = {}
        for group, request in requests.items():
            answer = self._get(request)
            if not isinstance(answer, KafkaError):
                found[group] = _read_description(answer)
            elif answer.code() == KafkaError.GROUP_ID_NOT_FOUND:
                found[group] = Described(NO_GROUP, None, ())
            else:
                found[group] = explain(answer, self.address, f"group {group}")
                if answer.code() == KafkaError.NOT_COORDINATOR:
                    self.close()  # which forgets who was
        return found

    def read_committed(self, groups: Collection[str]) -> dict[str, dict[Place, Committed] | KafkaProblem]:
        """Return what each of ``groups`` has committed, in any topic; nothing for a group that does not exist.

        Only for groups that `describe_groups` has just had a good answer about: see above.
        """
        requests: dict[str, Future[ConsumerGroupTopicPartitions]] = {}
        for group in groups:
            # librdkafka takes one group a call; the requests are on their way at the same time all the same.
            asked = [ConsumerGroupTopicPartitions(group)]
            requests |= self._open().list_consumer_group_offsets(asked, request_timeout=_UNENDING_SECONDS)
        self._wait(requests.values())
        found: dict[str, dict[Place, Committed] | KafkaProblem] = {}
        for group, request in requests.items():
            answer = self._get(request)
            places = [] if isinstance(answer, KafkaError) else answer.topic_partitions or ()
            # A partition that can't tell may have an offset all the same: not to be taken for one without.
            errors = [answer] if isinstance(answer, KafkaError) else [place.error for place in places if place.error]
            if errors and errors[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                found[group] = explain(errors[0], self.address, f"the offsets of group {group}")
            else:
                found[group] = {
                    (place.topic, place.partition): Committed(place.offset, place.metadata or "")
                    for place in places
                    if place.offset >= 0
                }
        return found

    def read_spans(self, places: Collection[Place]) -> dict[Place, Span]:
        """Return what each partition holds; one that can't tell (no leader, deleted meanwhile) is left out."""
        if not places:
            return {}
        low = self._request_offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        high = self._request_offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        self._wait([*low.values(), *high.values()])
        lows, highs = self._read_offsets(low), self._read_offsets(high)
        return {place: Span(lows[place], highs[place]) for place in places if place in lows and place in highs}

    def find_times(self, places: Collection[Place], milliseconds: int) -> dict[Place, int]:
        """Return the first offset of each partition that is no older than that; none where there is none.

        Raises KafkaProblem where a partition can't tell.
        """
        if not places:
            return {}
        requests = self._request_offsets(places, OffsetSpec.for_timestamp(milliseconds))
        self._wait(requests.values())
        found: dict[Place, int] = {}
        for (topic, number), request in requests.items():
            answer = self._get(request)
            if isinstance(answer, KafkaError):
                raise explain(answer, self.address, f"{topic}[{number}]")
            if answer.offset < _NONE_AS_YOUNG:
                raise explain(None, self.address, f"{topic}[{number}]")
            if answer.offset >= 0:
                found[topic, number] = answer.offset
        return found

    def commit_offsets(
        self, wanted: Mapping[str, Mapping[Place, Committed]]
    ) -> dict[str, dict[Place, KafkaError | None] | KafkaProblem]:
        """Commit offsets for groups. Returns for each partition what Kafka has against it, None where it was done.

        Kafka itself refuses it for a group that has members. Raised KafkaAway leaves open whether it was done.
        """
        requests: dict[str, Future[ConsumerGroupTopicPartitions]] = {}
        for group, offsets in wanted.items():
            places = [TopicPartition(*place, offset.offset, offset.text) for place, offset in offsets.items()]
            asked = [ConsumerGroupTopicPartitions(group, places)]
            requests |= self._open().alter_consumer_group_offsets(asked, request_timeout=_UNENDING_SECONDS)
        self._wait(requests.values())
        found: dict[str, dict[Place, KafkaError | None] | KafkaProblem] = {}
        for group, request in requests.items():
            answer = self._get(request)
            found[group] = (
                explain(answer, self.address, f"the offsets of group {group}")
                if isinstance(answer, KafkaError)
                else {(place.topic, place.partition): place.error for place in answer.topic_partitions or ()}
            )
        return found

    def _open(self) -> AdminClient:
        if self._admin is None:
            quiet = {"error_cb": self._note, "log_level": 3}
            try:
                self._admin = AdminClient(self._properties | quiet, logger=SILENT_LOGGER)
            except KafkaException as error:
                raise SettingsError(f"KAFKA_PROPERTIES: {error.args[0].str()}") from error
        return self._admin

    def _note(self, error: KafkaError) -> None:
        if is_telling(error):
            self._said = error

    def _wait(self, requests: Iterable[Future[Any]]) -> None:
        """Return once all are answered; else give the client up, and with it what it waits for."""
        left = set(requests)
        deadline = time.monotonic() + self._patience
        while left and not self._stopping and (remains := deadline - time.monotonic()) > 0:
            left = wait(left, min(remains, _SLICE_SECONDS)).not_done
        if left:
            self._open().poll(0)
            self.close()
            raise explain(self._said, self.address)

    def _get(self, request: Future[Any]) -> Any:
        """Return the answer, or Kafka's error in its place."""
        try:
            return request.result(0)
        except KafkaException as error:
            return error.args[0]

    def _request_offsets(self, places: Collection[Place], spec: OffsetSpec) -> dict[Place, Future[Any]]:
        # No coordinator is needed, so this may run into its timeout; a little later than our own patience.
        asked = {TopicPartition(*place): spec for place in places}
        answers = self._open().list_offsets(asked, request_timeout=self._patience + 2)
        return {(place.topic, place.partition): answer for place, answer in answers.items()}

    def _read_offsets(self, requests: Mapping[Place, Future[Any]]) -> dict[Place, int]:
        answers = {place: self._get(request) for place, request in requests.items()}
        return {
            place: answer.offset
            for place, answer in answers.items()
            # A broker that did not answer in time shows as -1001, not as an error.
            if not isinstance(answer, KafkaError) and answer.offset >= 0
        }


def _read_description(description: ConsumerGroupDescription) -> Described:
    members = []
    for member in description.members:
        places = {(place.topic, place.partition) for place in member.assignment.topic_partitions}
        if member.target_assignment is not None:  # KIP-848: what it will have once the others have let go
            places |= {(place.topic, place.partition) for place in member.target_assignment.topic_partitions}
        members.append(
            Member(
                client_id=member.client_id,
                host=member.host.removeprefix("/"),
                topics=frozenset(topic for topic, _ in places),
                partitions=len(member.assignment.topic_partitions),
            )
        )
    members.sort(key=lambda member: (member.client_id, member.host))
    state, kind = description.state, description.type
    name = _STATES.get(state, _UNKNOWN) if isinstance(state, ConsumerGroupState) else _UNKNOWN
    protocol = _PROTOCOLS.get(kind) if isinstance(kind, ConsumerGroupType) and name != NO_GROUP else None
    return Described(name, protocol, tuple(members))
