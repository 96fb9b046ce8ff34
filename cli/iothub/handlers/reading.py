"""The messages that a trial is given: the last ones of a consumer's topics, read without joining its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consumers.records import Record
from iothub.errors import UsageError
from iothub.kafka.client import Kafka
from iothub.kafka.reading import read_records
from iothub.kafka.starts import Last


def read_sample(
    kafka: Kafka, topics: Sequence[str], number: int, *, report: Callable[[str], None] = lambda sentence: None
) -> list[Record]:
    """Return the last ``number`` messages of the first topic, and of the next ones where it has fewer.

    A topic that does not exist yet is reported and left out, as a worker waits for it. Raises Unavailable.
    """
    found: list[Record] = []
    for topic in topics:
        missing = number - len(found)
        if missing:
            try:
                found += read_records(kafka, topic, start=Last(missing), report=report)
            except UsageError as error:
                report(str(error))
    return found
