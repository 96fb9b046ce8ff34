"""Which dead letters were replayed: a small compacted topic beside the dead letters', ``telemetry.dlq.replayed``.

    key      PARTITION:OFFSET of the dead letter
    value    {"attempt": 1, "at": "2026-02-20T22:45:00Z", "timestamp": 1771627500000, "topic": "telemetry.raw"}

A mark is written once Kafka has acknowledged the replayed message, never before. So whatever is killed at any point,
no dead letter is left out; what was in flight then is replayed a second time, with the same ``id``. Being in Kafka,
the marks hold on every machine. Why not otherwise: offsets committed by a group of its own can't tell which letters
of a filter are done, and a file is not there on the next machine.

``timestamp`` is that of the dead letter: where the dead-letter topic was deleted and made anew, its offsets begin
again, and an old mark must not hide a new letter. Marks of letters that retention has deleted are taken back by the
next replay, so the topic never has more of them than there are dead letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic
from pydantic import BaseModel, ConfigDict, ValidationError

from consumers.records import Record
from iothub.errors import CliError, UsageError
from iothub.kafka.client import REQUEST_SECONDS, Kafka
from iothub.kafka.letters import Letter, LetterPlace, format_letter_place, parse_letter_place
from iothub.kafka.reading import read_records
from telemetry.timestamps import format_utc


class Mark(BaseModel):
    """That a dead letter was replayed."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    """The number that the replay had."""
    at: str
    timestamp: int
    """The dead letter's, in milliseconds."""
    topic: str
    """Where it went."""


@dataclass(frozen=True)
class Marks:
    """The marks of one dead-letter topic, by the dead letter's place."""

    by_place: Mapping[LetterPlace, Mark]

    def find(self, letter: Letter) -> Mark | None:
        """Return the mark of ``letter``, None where it was not replayed."""
        mark = self.by_place.get(letter.place)
        return mark if mark is not None and mark.timestamp == letter.record.timestamp else None

    def count_replays(self, letter: Letter) -> int:
        """Return how often ``letter``'s message had been replayed when it was last replayed; 0: it never was."""
        mark = self.find(letter)
        return mark.attempt if mark is not None else 0


def name_marks_topic(dlq_topic: str) -> str:
    """Return the name of the topic with the marks of ``dlq_topic``."""
    return f"{dlq_topic}.replayed"


def build_mark(letter: Letter, *, topic: str, attempt: int, at: datetime) -> tuple[bytes, bytes]:
    """Return key and value of the record that marks ``letter``."""
    mark = Mark(attempt=attempt, at=format_utc(at), timestamp=letter.record.timestamp, topic=topic)
    return format_letter_place(letter.place).encode(), mark.model_dump_json().encode()


def parse_mark(record: Record) -> tuple[LetterPlace, Mark | None] | None:
    """Return the place that a record marks and how, None for a mark that was taken back; None for anything else."""
    try:
        place = parse_letter_place((record.key or b"").decode())
        return place, None if record.value is None else Mark.model_validate_json(record.value)
    except (UsageError, UnicodeDecodeError, ValidationError):
        return None


def read_marks(kafka: Kafka, dlq_topic: str) -> Marks:
    """Return what was replayed of ``dlq_topic``."""
    name = name_marks_topic(dlq_topic)
    found: dict[LetterPlace, Mark] = {}
    if name in kafka.read_metadata():
        for parsed in map(parse_mark, read_records(kafka, name)):
            if parsed is None:
                continue
            place, mark = parsed
            if mark is None:
                found.pop(place, None)
            else:
                found[place] = mark
    return Marks(found)


def make_marks_topic(kafka: Kafka, dlq_topic: str) -> None:
    """Make the topic for the marks where it is missing. Raises CliError where Kafka does not let us."""
    name = name_marks_topic(dlq_topic)
    topics = kafka.read_metadata()
    # The Kafka in memory makes a topic by its first use, and in no other way.
    if name in topics or kafka.in_memory:
        return
    replication = max(len(partition.replicas) for partition in topics[dlq_topic].partitions.values())
    new = NewTopic(name, 1, replication, config={"cleanup.policy": "compact"})
    try:
        for future in kafka.admin.create_topics([new], operation_timeout=REQUEST_SECONDS).values():
            future.result(REQUEST_SECONDS + 1)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise CliError(
                f"{name}, where replayed dead letters are marked, can't be made: {error.args[0].str()}; "
                "have it made with 1 partition and cleanup.policy=compact"
            ) from error


def find_stale_marks(kafka: Kafka, dlq_topic: str, marks: Marks) -> list[LetterPlace]:
    """Return the marks whose dead letters retention has deleted."""
    partitions = {partition for partition, _ in marks.by_place}
    watermarks = kafka.read_watermarks((dlq_topic, partition) for partition in partitions)
    earliest = {partition: low for (_, partition), (low, _) in watermarks.items()}
    return [place for place in marks.by_place if place[1] < earliest.get(place[0], 0)]
