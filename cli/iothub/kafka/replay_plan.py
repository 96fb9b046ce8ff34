"""What is to become of a dead letter that is to be replayed: where it would go, or why it is left out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from iothub.kafka.letters import Letter, LetterPlace, format_letter_place
from telemetry import headers as h
from telemetry.dead_letters import OWN_HEADERS

DEFAULT_MAX_ATTEMPTS = 3


class Why(StrEnum):
    """Why a dead letter is left out."""

    NO_TOPIC = "no_topic"
    TRUNCATED = "truncated"
    TOPIC_GONE = "topic_gone"
    REPLAYED = "replayed"
    ATTEMPTS = "attempts"


SENTENCES: dict[Why, str] = {
    Why.NO_TOPIC: "it never was in a topic (ingestion refused it), so there is none to put it back into",
    Why.TRUNCATED: "only its first kilobyte is here; the rest is gone",
    Why.TOPIC_GONE: "the topic that it was in does not exist any more",
    Why.REPLAYED: "it was replayed already; --again replays it once more",
    Why.ATTEMPTS: "it has been replayed as often as --max-attempts allows and died each time",
}


@dataclass(frozen=True)
class ReplayRules:
    """What the person asked for, and what Kafka has."""

    topics: Collection[str]
    """The topics that exist."""
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    all_groups: bool = False
    """Let every group handle it again, not only the one that it failed in."""
    again: bool = False


@dataclass(frozen=True)
class Replay:
    """A dead letter on its way back: its bytes and key as they are, into ``topic``."""

    letter: Letter
    topic: str
    group: str | None
    """The only group that is to handle it; None: every one."""
    attempt: int
    headers: list[tuple[str, bytes | None]] = field(repr=False)


@dataclass(frozen=True)
class LeftOut:
    """A dead letter that is not replayed."""

    letter: Letter
    why: Why

    @property
    def sentence(self) -> str:
        """Why, for a person."""
        return SENTENCES[self.why]


def plan_replay(letter: Letter, rules: ReplayRules, *, replayed: int = 0) -> Replay | LeftOut:
    """Return what is to become of ``letter``, of which ``replayed`` replays are marked.

    A topic's other groups have handled the message long since: only the one that dead-lettered it gets it again
    (header ``replay.group``), whatever the stage. The headers are those that the message came with; the marks of its
    death and of an earlier replay are left behind. The count of replays goes on, so that no loop is endless.
    """
    topic = letter.topic
    if topic is None:
        return LeftOut(letter, Why.NO_TOPIC)
    if letter.is_truncated:
        return LeftOut(letter, Why.TRUNCATED)
    if topic not in rules.topics:
        return LeftOut(letter, Why.TOPIC_GONE)
    if replayed and not rules.again:
        return LeftOut(letter, Why.REPLAYED)
    attempt = max(letter.replays, replayed) + 1
    if attempt > rules.max_attempts:
        return LeftOut(letter, Why.ATTEMPTS)
    group = None if rules.all_groups else letter.consumer
    marks = [(h.REPLAY_OF, format_letter_place(letter.place)), (h.REPLAY_ATTEMPT, str(attempt))]
    if group is not None:
        marks.append((h.REPLAY_GROUP, group))
    kept = h.without(letter.record.headers, OWN_HEADERS | h.REPLAY_HEADERS)
    return Replay(letter, topic, group, attempt, kept + [(name, text.encode()) for name, text in marks])


@dataclass(frozen=True)
class Route:
    """Where dead letters of one kind go."""

    reason: str | None
    topic: str
    group: str | None


@dataclass
class ReplayPlan:
    """What a replay will do, counted; `places` are the dead letters that go."""

    routes: Counter[Route] = field(default_factory=Counter)
    left_out: Counter[Why] = field(default_factory=Counter)
    examples: dict[Route | Why, LetterPlace] = field(default_factory=dict)
    places: set[LetterPlace] = field(default_factory=set)


def build_plan(decisions: Iterable[Replay | LeftOut]) -> ReplayPlan:
    """Return the plan that ``decisions`` make."""
    plan = ReplayPlan()
    for decision in decisions:
        key: Route | Why
        if isinstance(decision, Replay):
            key = Route(decision.letter.reason, decision.topic, decision.group)
            plan.routes[key] += 1
            plan.places.add(decision.letter.place)
        else:
            key = decision.why
            plan.left_out[key] += 1
        plan.examples.setdefault(key, decision.letter.place)
    return plan
