"""`dlq replay` as a whole: look, decide, and only then send."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from iothub.kafka.client import Kafka
from iothub.kafka.dead_letters import read_letters
from iothub.kafka.letters import LetterFilter
from iothub.kafka.marks import Marks, find_stale_marks, make_marks_topic, read_marks
from iothub.kafka.replay import Replayer, ReplayResult
from iothub.kafka.replay_plan import LeftOut, Replay, ReplayPlan, ReplayRules, build_plan, plan_replay


class LetterReplay:
    """The dead letters of ``topic`` that are ``wanted``, and what the person asked to do with them."""

    def __init__(
        self,
        kafka: Kafka,
        topic: str,
        wanted: LetterFilter,
        *,
        max_attempts: int,
        all_groups: bool = False,
        again: bool = False,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._wanted = wanted
        self._report = report
        kafka.find_topic(topic)
        self._marks: Marks = read_marks(kafka, topic)
        self._rules = ReplayRules(kafka.read_metadata(), max_attempts, all_groups=all_groups, again=again)

    def decide(self) -> Iterator[Replay | LeftOut]:
        """Yield what is to become of each wanted dead letter."""
        for letter in read_letters(self._kafka, self._topic, self._wanted, report=self._report):
            yield plan_replay(letter, self._rules, replayed=self._marks.count_replays(letter))

    def plan(self) -> ReplayPlan:
        """Read the dead letters and return what a replay will do."""
        return build_plan(self.decide())

    def run(
        self, plan: ReplayPlan, *, rate: float, stopping: Callable[[], bool], on_done: Callable[[Replay], None]
    ) -> ReplayResult:
        """Read them again and replay those of ``plan``, not what has died since."""
        make_marks_topic(self._kafka, self._topic)
        replayer = Replayer(self._kafka, self._topic, rate=rate, stopping=stopping, on_done=on_done)
        replayer.take_back(find_stale_marks(self._kafka, self._topic, self._marks))
        return replayer.run(
            decision
            for decision in self.decide()
            if isinstance(decision, Replay) and decision.letter.place in plan.places
        )
