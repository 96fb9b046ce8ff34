"""The operator's look into a Kafka that is away, frozen or slow; and what a hundred groups cost."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from integration.operator_kafka import Looking, commit, committed_of, member, read, send_letters, settings_of
from support.kafka_broker import KafkaBroker
from support.plugin import KafkaFactory
from telemetry_operator.kafka import observer as observing
from telemetry_operator.kafka.errors import (
    CLIENT_FAILED,
    GROUP_HAS_MEMBERS,
    UNAVAILABLE,
    KafkaAway,
    KafkaProblem,
    OffsetsRefused,
)
from telemetry_operator.kafka.facts import KafkaFacts, Look, Reading
from telemetry_operator.kafka.observer import Observer
from telemetry_operator.kafka.settings import load_kafka_settings
from telemetry_operator.kafka.targets import Reset

Unique = Callable[[str], str]

GROUPS = 100


class Loop:
    """How long the event loop was held up at most."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            self.worst = max(self.worst, time.perf_counter() - began - 0.01)


@asynccontextmanager
async def observing_of(kafka: KafkaBroker, **settings: Any) -> AsyncIterator[Observer]:
    observer = Observer(settings_of(kafka), **({"interval": 1.0, "patience": 3.0} | settings))
    observer.start()
    try:
        yield observer
    finally:
        began = time.monotonic()
        await observer.stop()
        assert time.monotonic() - began < 15, "an operator that ends does not wait for Kafka"


async def wait_for(observer: Observer, reading: Reading, condition: Callable[[Look], object], what: str) -> Look:
    deadline = time.monotonic() + 60
    while not condition(look := observer.look(reading)):
        assert time.monotonic() < deadline, f"waited for {what}; last look: {look}"
        await asyncio.sleep(0.05)
    return look


def has_facts(look: Look) -> bool:
    return look.facts is not None and look.trouble is None


def is_unavailable(look: Look) -> bool:
    return look.trouble is not None and look.trouble.reason == UNAVAILABLE


async def test_facts_come_by_themselves_and_change_is_news(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    news: list[frozenset[Reading]] = []
    reading = read(unique("group"), topic, start_from="latest")
    async with observing_of(kafka, on_news=news.append) as observer:
        observer.watch([reading])
        # The look that first saw it committed where it begins, and the next one sees the group that came of that.
        look = await wait_for(
            observer, reading, lambda look: look.facts and look.facts.group.state == "Empty", "the facts"
        )
        assert look.facts is not None
        assert (look.facts.lag, look.trouble) == (0, None)
        assert news[-1] == {reading}
        seen = len(news)
        first = look.facts
        await wait_for(observer, reading, lambda look: look.facts is not first, "another look")
        assert len(news) == seen, "nothing but time has passed"
        observer.watch([])
        assert observer.look(reading).facts is None


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_kafka_that_goes_and_comes_back(
    kafka_factory: KafkaFactory, unique: Unique, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given facts, When Kafka goes, Then they stand for a minute, with the trouble beside them, and no longer."""
    monkeypatch.setattr(observing, "RETRY_SECONDS", 0.5)
    kafka = kafka_factory()
    (topic,) = kafka.create_topics([unique("raw")], partitions=3)
    readings = [read(f"group-{number}", topic, start_from="latest") for number in range(20)]
    reading, ahead = readings[0], 0.0
    async with observing_of(kafka, clock=lambda: time.monotonic() + ahead) as observer:
        observer.watch(readings)
        for each in readings:
            await wait_for(observer, each, lambda look: has_facts(look) and look.facts.uncommitted == 0, "the facts")  # type: ignore[union-attr]
        loop = Loop()
        watching = asyncio.create_task(loop.watch())
        if fault == "killed":
            kafka.kill()
        else:
            kafka.pause()
        look = await wait_for(observer, reading, is_unavailable, "the trouble")
        assert look.facts is not None, "still the last ones"
        assert look.trouble is not None
        assert kafka.bootstrap_servers in look.trouble.message
        began = time.perf_counter()
        for each in readings:
            observer.look(each)
        assert time.perf_counter() - began < 1, "a look never waits"
        with pytest.raises(KafkaAway):
            await observer.reset_offsets(reading, "earliest", "r1")
        ahead = observing.FRESH_SECONDS
        look = observer.look(reading)
        assert look.facts is None, "too old to be told"
        assert look.trouble is not None
        since = look.trouble.since
        # It goes on asking, and says since when it has had no answer.
        first = look.trouble
        look = await wait_for(observer, reading, lambda look: look.trouble is not first, "another try")
        assert look.trouble is not None
        assert look.trouble.since == since
        if fault == "killed":
            await asyncio.to_thread(kafka.start)
        else:
            kafka.resume()
        for each in readings:
            await wait_for(observer, each, has_facts, "Kafka to be back")
        watching.cancel()
        sys.stdout.write(f"\n{fault}: the event loop was held up for {loop.worst * 1000:.0f} ms at most\n")


@pytest.mark.parametrize(("frozen", "patience"), [(2.0, 8.0), (4.0, 2.0)], ids=["for a moment", "for long"])
async def test_a_kafka_that_is_frozen_in_the_middle_of_a_pass(
    kafka_factory: KafkaFactory, unique: Unique, frozen: float, patience: float
) -> None:
    """An answer that comes late, to an operation that librdkafka has given up by itself, ends the process: here none is
    given up by it, but by us, and the client with it."""
    kafka = kafka_factory()
    (topic,) = kafka.create_topics([unique("raw")], partitions=3)
    looking = Looking(kafka, patience=patience)
    looking.wait_for_coordinator("group")
    read_topics = looking.kafka.read_topics

    def read_and_freeze() -> dict[str, tuple[int, ...]]:
        known = read_topics()
        kafka.pause()
        threading.Timer(frozen, kafka.resume).start()
        return known

    for attempt in range(3):
        # Groups that nobody has asked about: their coordinator is still to be found, and is found once it goes on.
        readings = [read(f"group-{attempt}-{number}", topic, start_from="latest") for number in range(50)]
        looking.kafka.read_topics = read_and_freeze  # type: ignore[method-assign]
        if frozen > patience:
            with pytest.raises(KafkaAway, match="gives no answer"):
                await asyncio.to_thread(looking.survey.run, readings)
        else:
            answers = await asyncio.to_thread(looking.survey.run, readings)
            assert all(isinstance(answer, KafkaFacts) for answer in answers.values()), answers
        looking.kafka.read_topics = read_topics  # type: ignore[method-assign]
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, "not back"
            try:
                answers = await asyncio.to_thread(looking.survey.run, readings)
            except KafkaAway:
                continue
            if all(isinstance(answer, KafkaFacts) for answer in answers.values()):
                break


async def test_nobody_listens_at_the_address() -> None:
    reading = read("group", "raw")
    observer = Observer(load_kafka_settings({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}), patience=2.0)
    observer.start()
    observer.watch([reading])
    try:
        look = await wait_for(observer, reading, is_unavailable, "the trouble")
        assert look.facts is None
        assert look.trouble is not None
        assert look.trouble.message == "Kafka at 127.0.0.1:1 gives no answer: Connection refused"
    finally:
        await observer.stop()


async def test_a_reset_through_the_observer(kafka: KafkaBroker, topic: str, unique: Unique) -> None:
    group = unique("group")
    commit(kafka, group, {(topic, 0): 0, (topic, 1): 0, (topic, 2): 0})
    reading = read(group, topic)
    async with observing_of(kafka) as observer:
        observer.watch([reading])
        await wait_for(observer, reading, has_facts, "the facts")
        assert (await observer.reset_offsets(reading, "latest", "r1")).moved == 0
        with member(kafka, group, topic):
            with pytest.raises(OffsetsRefused) as raised:
                await observer.reset_offsets(reading, "earliest", "r2")
            assert raised.value.reason == GROUP_HAS_MEMBERS
            await wait_for(observer, reading, lambda look: look.facts and look.facts.group.members, "its member")


async def test_a_reset_that_is_asked_for_waits_for_nobody_and_its_end_is_news(
    kafka: KafkaBroker, topic: str, unique: Unique, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = unique("group")
    commit(kafka, group, {(topic, 0): 0, (topic, 1): 0, (topic, 2): 0})
    reading = read(group, topic)
    ended = asyncio.Event()

    async def ask(token: str) -> Reset | KafkaProblem:
        """Ask as a reconcile does: once, and again when there is news."""
        assert observer.ask_reset(reading, "earliest", token) is None
        async with asyncio.timeout(30):
            while True:
                await ended.wait()
                ended.clear()
                if (answer := observer.ask_reset(reading, "earliest", token)) is not None:
                    return answer

    async with observing_of(kafka, on_news=lambda news: ended.set()) as observer:
        observer.watch([reading])
        await wait_for(observer, reading, has_facts, "the facts")
        done = await ask("r1")
        assert isinstance(done, Reset)
        assert not done.done_before
        again = await ask("r1")
        assert isinstance(again, Reset)
        assert again.done_before, "what has come is told once; after that it is tried again, and found done"
        monkeypatch.setattr(observing, "reset_offsets", lambda *_: 1 // 0)
        failed = await ask("r2")
        assert isinstance(failed, KafkaProblem)
        assert (failed.reason, failed.may_pass) == (CLIENT_FAILED, False)


async def test_what_a_hundred_groups_cost(kafka: KafkaBroker, topic: str, dlq: str, unique: Unique) -> None:
    """Prints time and CPU of a pass; the second half of the groups reads two topics, and costs no more for that."""
    (other,) = kafka.create_topics([unique("other")], partitions=6)
    looking = Looking(kafka)
    looking.wait_for_coordinator(unique("group"))
    readings = [
        read(
            f"{unique('group')}-{number}",
            topic,
            *([other] if number % 2 else []),
            dead_letter_topic=dlq,
            start_from="latest",
        )
        for number in range(GROUPS)
    ]
    for group in ("0", "1"):
        send_letters(kafka, dlq, f"{unique('group')}-{group}", 10)
    names = ("first, with starting offsets", "second", "third", "fourth")
    loop = Loop()
    watching = asyncio.create_task(loop.watch())
    for name in names:
        wall, cpu = time.perf_counter(), time.process_time()
        answers = await asyncio.to_thread(looking.survey.run, readings)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        sys.stdout.write(f"\n{GROUPS} groups, {name} pass: {wall * 1000:.0f} ms, {cpu * 1000:.0f} ms of CPU")
        assert all(isinstance(answer, KafkaFacts) for answer in answers.values()), answers
    watching.cancel()
    sys.stdout.write(f"\nthe event loop was held up for {loop.worst * 1000:.0f} ms at most\n")
    facts = [answer for answer in answers.values() if isinstance(answer, KafkaFacts)]
    assert {one.uncommitted for one in facts} == {0}
    assert sum(one.dead_letters.count for one in facts if one.dead_letters) == 20
    assert len(committed_of(kafka, readings[1].group)) == 9
