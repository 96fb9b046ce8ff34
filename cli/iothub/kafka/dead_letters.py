"""Reading the dead-letter topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from iothub.errors import UsageError
from iothub.kafka.client import Kafka
from iothub.kafka.letters import Letter, LetterFilter, LetterPlace, format_letter_place
from iothub.kafka.reading import read_records
from iothub.kafka.starts import At, Beginning, Since


def read_letters(
    kafka: Kafka, topic: str, wanted: LetterFilter, *, report: Callable[[str], None] = lambda sentence: None
) -> Iterator[Letter]:
    """Yield the dead letters of ``topic`` that are ``wanted``, by time. ``report`` is told what can't be read now."""
    start = Beginning() if wanted.since is None else Since(wanted.since)
    yield from filter(wanted.matches, map(Letter, read_records(kafka, topic, start=start, report=report)))


def read_letter(kafka: Kafka, topic: str, place: LetterPlace) -> Letter:
    """Return the dead letter at ``place``. Raises UsageError where there is none (any more)."""
    partition, offset = place
    if partition not in kafka.find_topic(topic).partitions:
        raise UsageError(f"{topic} has no partition {partition}")
    record = next(read_records(kafka, topic, start=At(offset), partitions={partition}), None)
    if record is None or record.offset != offset:
        raise UsageError(
            f"{topic} has nothing at {format_letter_place(place)} (any more); "
            f"`iothub tail {topic} --no-follow` shows what it has"
        )
    return Letter(record)


def find_letter(kafka: Kafka, topic: str, message_id: str) -> tuple[Letter, list[LetterPlace]]:
    """Return the newest dead letter of the message with that id, and where its earlier ones lie.

    Raises UsageError where there is none.
    """
    found = [letter for letter in read_letters(kafka, topic, LetterFilter()) if letter.id == message_id]
    if not found:
        raise UsageError(f"{topic} has no dead letter with the id {message_id!r}")
    return found[-1], [letter.place for letter in found[:-1]]
