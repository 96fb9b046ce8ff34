"""What the hub is told about the servers that it runs: the program, where it is reached, and what it can't do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iothub.servers.program import Program

ExplainFailure = Callable[[Path], str | None]
"""From the log of a program that ended early to one sentence for a person; None where the log tells no known cause."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class KafkaServer:
    """A Kafka to run."""

    program: Program
    bootstrap_servers: str | None
    """Where clients find it; None where only the running program knows (`iothub.servers.mock_kafka.read_bootstrap`)."""
    in_memory: bool
    """Whether it is librdkafka's mock cluster."""
    title: str
    """For a person: ``Apache Kafka 4.3.1``."""
    explain_failure: ExplainFailure
    limits: tuple[str, ...] = ()
    """Sentences for the screen: what this Kafka can't do."""


@dataclass(frozen=True)
class MqttServer:
    """An MQTT broker to run: ``program``, or for its very first start ``first_program``."""

    program: Program
    port: int
    """Where devices find it."""
    ingestion_port: int
    """Where ingestion finds it; the same where the broker has one listener."""
    version: int
    """5, or 4 for MQTT 3.1.1, as paho numbers them."""
    software: str
    """For a person: ``mosquitto 2.1.2``."""
    explain_failure: ExplainFailure
    first_program: Program | None = None
    """Runs until the mark ``ready_topic`` is there, then ``program`` does: it keeps devices out, whose messages
    nobody would get before ingestion's session exists. None where ``program`` can be started at once."""
    note_first_session: Callable[[], None] = _nothing
    """Called once ``first_program`` has ended in order behind the mark: the next start needs it no more."""
    limits: tuple[str, ...] = ()
    """Sentences for the screen: what this broker does not promise."""

    @property
    def needs_first_session(self) -> bool:
        """Whether ``first_program`` has to run before ``program``."""
        return self.first_program is not None
