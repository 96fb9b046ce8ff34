"""Asks Kafka now and then, beside the event loop, and tells at any time what is known: what a reconcile looks at.

One thread does all of it, with one client. Nothing here ever waits for it but what was asked for with ``await``; so a
Kafka that is away, or frozen, holds up no reconcile, and shows as a `Trouble` with its reason and since when.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from telemetry_operator.kafka.client import PATIENCE_SECONDS, Kafka
from telemetry_operator.kafka.errors import CLIENT_FAILED, NOT_ASKED_YET, UNAVAILABLE, KafkaAway, KafkaProblem
from telemetry_operator.kafka.facts import KafkaFacts, Look, Reading, Trouble
from telemetry_operator.kafka.metrics import ERRORS, GROUPS, PASS_SECONDS, PASSES
from telemetry_operator.kafka.offsets import reset_offsets
from telemetry_operator.kafka.settings import KafkaSettings
from telemetry_operator.kafka.survey import Answers, Survey
from telemetry_operator.kafka.tail import Tail
from telemetry_operator.kafka.targets import Reset, Target

INTERVAL_SECONDS = 28.0
"""Between two looks at a group: one that fails leaves time for another before the facts are too old, and the second
after one that was told still comes in time to be told within a minute."""
FRESH_SECONDS = 60.0
"""Facts older than that are none."""
RETRY_SECONDS = 5.0
"""Until the next look where Kafka did not answer, or starting offsets are still to be committed."""
GATHER_SECONDS = 0.3
"""How long a new reading waits for others, so that a hundred that come at once are one pass."""

_LEAST_PAUSE = 1.0

log = structlog.get_logger(__name__)


class _Seen(NamedTuple):
    facts: KafkaFacts
    moment: float
    """Monotonic: the wall clock may jump."""


class Observer:
    """What Kafka says about readings, never older than a minute. All methods are for the event loop's thread."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        on_news: Callable[[frozenset[Reading]], None] = lambda readings: None,
        interval: float = INTERVAL_SECONDS,
        patience: float = PATIENCE_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise SettingsError where librdkafka does not take the properties; Kafka itself may be away.

        ``on_news`` is told, in the event loop, of readings about which more has changed than their numbers.
        """
        self._kafka = Kafka(settings, patience=patience)
        self._tail = Tail(settings)
        self._survey = Survey(self._kafka, self._tail, now=now, clock=clock)
        self._on_news = on_news
        self._interval = interval
        self._now = now
        self._clock = clock
        self._due: dict[Reading, float] = {}
        """The readings that are wanted, and when to look next."""
        self._seen: dict[Reading, _Seen] = {}
        self._troubles: dict[Reading, Trouble] = {}
        self._away_for: str | None = None
        self._resets: dict[str, asyncio.Task[Reset]] = {}
        """By their tokens: under way, or done and not told yet."""
        self._wake = asyncio.Event()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="kafka")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End it. Takes a few seconds at most where Kafka is silent just now."""
        tasks = [*self._resets.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kafka.stop()
        self._tail.stop()
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        self._kafka.close()

    def watch(self, readings: Iterable[Reading]) -> None:
        """Ask about these readings from now on, and about no others."""
        soon = self._clock() + GATHER_SECONDS
        self._due = {reading: self._due.get(reading, soon) for reading in readings}
        self._seen = {reading: seen for reading, seen in self._seen.items() if reading in self._due}
        self._troubles = {reading: trouble for reading, trouble in self._troubles.items() if reading in self._due}
        GROUPS.set(len({reading.group for reading in self._due}))
        self._wake.set()

    def look(self, reading: Reading) -> Look:
        """Return what is known about ``reading`` at this moment, at once."""
        seen, trouble = self._seen.get(reading), self._troubles.get(reading)
        if seen is not None and self._clock() - seen.moment <= FRESH_SECONDS:
            return Look(facts=seen.facts, trouble=trouble)
        if trouble is None:
            since = seen.facts.observed_at if seen is not None else self._now()
            reason = NOT_ASKED_YET if seen is None else UNAVAILABLE
            trouble = Trouble(reason=reason, message="Kafka has not been asked of late", since=since)
        return Look(facts=None, trouble=trouble)

    def ask_reset(self, reading: Reading, target: Target, token: str) -> Reset | KafkaProblem | None:
        """Return at once what came of the reset ``token``, None while it is under way: ``on_news`` tells of its end.

        What came of it is told once. Asked for again it is tried again, which leaves alone what it has done.
        """
        task = self._resets.get(token)
        if task is None:
            self._resets[token] = asyncio.get_running_loop().create_task(self.reset_offsets(reading, target, token))
            return None
        if not task.done():
            return None
        del self._resets[token]
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, KafkaProblem):
            return error
        log.error("a reset failed unexpectedly", group=reading.group, problem=f"{type(error).__name__}: {error}")
        return KafkaProblem(CLIENT_FAILED, f"the operator failed to ask Kafka: {type(error).__name__}: {error}")

    async def reset_offsets(self, reading: Reading, target: Target, token: str) -> Reset:
        """Move the group of ``reading``, as `offsets.reset_offsets` says, and look at it again at once."""
        group, topics = reading.group, sorted(reading.topics)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._reset_there, group, topics, target, token
            )
        finally:
            own = [each for each in self._due if each.group == group]
            self._due |= {each: self._clock() for each in own}
            self._wake.set()
            self._tell(frozenset(own))

    def _reset_there(self, group: str, topics: list[str], target: Target, token: str) -> Reset:
        try:
            return reset_offsets(self._kafka, group, topics, target, token)
        finally:
            self._survey.forget_slopes(group)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            if self._due and min(self._due.values()) <= now:
                # Whatever is due within half an interval goes along: one pass serves many.
                await self._run_pass([reading for reading, at in self._due.items() if at <= now + self._interval / 2])
                continue
            pause = min(self._due.values()) - now if self._due else None
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _run_pass(self, readings: list[Reading]) -> None:
        began = self._clock()
        try:
            answers: Answers = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._survey_them, readings, frozenset(self._due)
            )
        except KafkaProblem as problem:
            answers = dict.fromkeys(readings, problem)
            self._note_away(problem)
        except Exception as error:
            # A bug must not end the looking for good.
            log.exception("a pass over Kafka failed unexpectedly")
            failure = KafkaProblem(CLIENT_FAILED, f"the operator failed to ask Kafka: {type(error).__name__}: {error}")
            answers = dict.fromkeys(readings, failure)
        else:
            self._note_away(None)
        failed = all(isinstance(answer, KafkaProblem) for answer in answers.values())
        PASSES.labels(outcome="failed" if failed else "done").inc()
        PASS_SECONDS.observe(self._clock() - began)
        self._take(answers, began)

    def _note_away(self, problem: KafkaProblem | None) -> None:
        """Log when Kafka goes, for another reason too, and when it is back; not each time that it is still away."""
        reason = None if problem is None else problem.reason
        if reason != self._away_for:
            self._away_for = reason
            if problem is None:
                log.info("Kafka answers again")
            else:
                log.warning("Kafka can't be asked", reason=reason, problem=str(problem))

    def _survey_them(self, readings: Collection[Reading], wanted: frozenset[Reading]) -> Answers:
        self._survey.keep_only(wanted)
        return self._survey.run(readings)

    def _take(self, answers: Answers, began: float) -> None:
        news = set()
        for reading, answer in answers.items():
            if reading not in self._due:
                continue  # not wanted any more
            before = self._peek(reading)
            pause = self._note(reading, answer, began)
            self._due[reading] = max(began + pause, self._clock() + _LEAST_PAUSE)
            if is_news(before, self._peek(reading)):
                news.add(reading)
        if news:
            self._tell(frozenset(news))

    def _tell(self, news: frozenset[Reading]) -> None:
        try:
            self._on_news(news)
        except Exception:
            # Whoever is told must not end the looking.
            log.exception("telling of news from Kafka failed unexpectedly")

    def _note(self, reading: Reading, answer: KafkaFacts | KafkaProblem, began: float) -> float:
        """Keep an answer. Returns the seconds until the next look."""
        if isinstance(answer, KafkaFacts):
            self._seen[reading] = _Seen(answer, began)
            self._troubles.pop(reading, None)
            return RETRY_SECONDS if awaits_start(answer) else self._interval
        ERRORS.labels(reason=answer.reason).inc()
        known = self._troubles.get(reading)
        since = known.since if known is not None and known.reason == answer.reason else self._now()
        self._troubles[reading] = Trouble(reason=answer.reason, message=answer.message, since=since)
        return RETRY_SECONDS if isinstance(answer, KafkaAway) else self._interval

    def _peek(self, reading: Reading) -> Look:
        """Return what was last said about a reading, however old."""
        seen = self._seen.get(reading)
        return Look(facts=None if seen is None else seen.facts, trouble=self._troubles.get(reading))


def awaits_start(facts: KafkaFacts) -> bool:
    """Return whether the group is still to be given its starting offsets."""
    return facts.reading.start_from is not None and facts.uncommitted > 0 and not facts.group.members


def is_news(before: Look, after: Look) -> bool:
    """Return whether more changed than numbers that go up and down by themselves."""
    reasons = [look.trouble.reason if look.trouble is not None else None for look in (before, after)]
    if reasons[0] != reasons[1] or (before.facts is None) != (after.facts is None):
        return True
    if before.facts is None or after.facts is None:
        return False
    return _without_numbers(before.facts) != _without_numbers(after.facts)


def _without_numbers(facts: KafkaFacts) -> KafkaFacts:
    nothing_left = facts.lag if facts.lag in {0, None} else 1
    return replace(
        facts,
        observed_at=datetime.min.replace(tzinfo=UTC),
        group=replace(facts.group, members_at=None),
        lag=nothing_left,
        topic_lags={},
        lag_slope=None,
        drain_seconds=None,
    )
