"""What a trial of a handler found. The process that tries it and the one that asked pass these as JSON. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class MessagePlace(_Model):
    """Where a message lies in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] offset {self.offset}"


class Produced(_Model):
    """A message that would be produced, cut to what a person looks at."""

    topic: str | None
    """None where neither the handler nor the spec names one: a worker would stop."""
    key: str | None
    value: str | None


class DeadLetter(_Model):
    """A message that would go to the dead-letter topic, or, where there is none, would stop the worker."""

    place: MessagePlace
    reason: str
    message: str
    stage: str
    attempts: int
    raised: str | None = None
    """Last line of the traceback where the handler failed, with the line of code that it came from."""


class Retry(_Model):
    """A message that would wait and be handed over again."""

    place: MessagePlace
    message: str


class SampleReport(_Model):
    """What a handler made of messages."""

    messages: int
    handled: int = 0
    skipped: int = 0
    """Replays for other groups."""
    dead_letters: tuple[DeadLetter, ...] = ()
    retries: tuple[Retry, ...] = ()
    held_back: int = 0
    """Messages behind one that waits, in its partition."""
    produced: dict[str, int] = {}
    """How many for each topic."""
    first_produced: tuple[Produced, ...] = ()
    homeless: int = 0
    """Produced without a topic where none is set."""
    calls: int = 0
    seconds: float = 0
    """In the handler."""

    @property
    def failures(self) -> list[DeadLetter]:
        """The dead letters of which the handler's own code is the cause."""
        return [letter for letter in self.dead_letters if letter.raised is not None]


class TrialResult(_Model):
    """What came of a trial."""

    problem: str | None = None
    """Why the handler can't be had, in the worker's words."""
    reason: str | None = None
    """The worker's code for it: HandlerNotFound, HandlerFailed, …"""
    sample: SampleReport | None = None
