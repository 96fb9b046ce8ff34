"""What a test's Kafka is made of, as ``iothub up`` has it: a Java runtime and the jars, or a skip (CI: failure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iothub.errors import StartFailed
from iothub.servers.jars import find_fetch_problem, prepare_jars
from iothub.servers.java import Java, Missing, find_java
from support import require

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["java", "kafka_jars"]


def java() -> Java:
    """Return a Java runtime that Kafka runs on, or skip (CI: fail)."""
    found = find_java()
    if isinstance(found, Missing):
        require.missing("Java for Apache Kafka", found.sentence)
    return found


def kafka_jars() -> Path:
    """Return the folder that holds Kafka's jars, fetching them where they are not there yet, or skip (CI: fail)."""
    problem = find_fetch_problem()
    if problem is None:
        try:
            return prepare_jars()
        except StartFailed as error:
            problem = str(error)
    return require.missing("Apache Kafka from Maven", problem)
