"""A validator at work, seen from outside: how fast its output topics grow, and what its process uses for it.

Nothing is measured inside the contenders: each is the program that a user would run, in whatever language, and its
clock is the same as everybody's. That what comes out is right is looked at too (`check_outputs`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import orjson

from benchmarks.bench import Bench
from benchmarks.child import BenchmarkFailed, Child
from benchmarks.environments import ASYNCIO, QUIX, build_kafka_streams
from benchmarks.messages import Sent, build_pool
from benchmarks.outputs import check_outputs
from benchmarks.preload import fill_topic
from benchmarks.programs.pipeline import Pipeline
from benchmarks.rows import Reading

DAMAGED = 0.01
_LOOK_SECONDS = 0.1
_STUCK_SECONDS = 60.0
_LONGEST_SECONDS = 300.0
_BETWEEN_LOOKS = 100_000
"""More than the fastest writes from one look to the next: the topic must not be over before a run is."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a validator is started."""

    command: Sequence[str]
    environment: dict[str, str]
    tolerated: frozenset[str] = frozenset()
    """Kinds of damage that its JSON library does not see."""


MakeCall = Callable[[Pipeline], Call]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a validator: what it took, and the most memory that it had meanwhile, in MiB."""

    reading: Reading
    memory: float


def our_validator(pipeline: Pipeline) -> Call:
    """Return the call of the built-in validator, as a compose file or the operator has it."""
    return Call(
        (sys.executable, "-m", "consumers"),
        {
            "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap_servers,
            "KAFKA_GROUP_ID": pipeline.group,
            "CONSUMER_HANDLER": "validator",
            "CONSUMER_TOPICS": pipeline.raw,
            "CONSUMER_OUTPUT_TOPIC": pipeline.clean,
            "CONSUMER_DLQ_TOPIC": pipeline.dlq,
            "HTTP_PORT": "0",
            "LOG_LEVEL": "WARNING",
        },
    )


def quix_validator(pipeline: Pipeline) -> Call:
    """Return the call of the validator on Quix Streams."""
    return _python_peer(str(QUIX.python), "quix_validator", pipeline)


def faststream_validator(pipeline: Pipeline) -> Call:
    """Return the call of the validator on FastStream."""
    return _python_peer(str(ASYNCIO.python), "faststream_validator", pipeline)


def kafka_streams_validator(pipeline: Pipeline) -> Call:
    """Return the call of the validator on Kafka Streams."""
    places = (pipeline.bootstrap_servers, pipeline.group, pipeline.raw, pipeline.clean, pipeline.dlq)
    return Call((*build_kafka_streams(), *places), {}, frozenset({"half_surrogate"}))


def _python_peer(python: str, program: str, pipeline: Pipeline) -> Call:
    task = orjson.dumps(asdict(pipeline)).decode()
    return Call((python, "-m", f"benchmarks.programs.{program}", task), {}, frozenset({"key_twice", "deep"}))


@dataclass(frozen=True)
class Raw:
    """A filled raw topic, and the messages that it is filled with."""

    topic: str
    pool: Sequence[Sent]


def fill_raw(bench: Bench, messages: int) -> Raw:
    """Return a raw topic that a run of ``messages`` records does not exhaust, one in a hundred of them damaged."""
    messages += _BETWEEN_LOOKS
    pool = build_pool(DAMAGED)
    topic = f"bench-raw-{messages}"
    fill_topic(bench.kafka, topic, pool, messages)
    return Raw(topic, pool)


def make_validator(
    bench: Bench, name: str, make_call: MakeCall, raw: Raw, *, warmup: int, messages: int
) -> Callable[[], Run]:
    """Return what runs a validator once, until it has written ``warmup`` and then ``messages`` records."""

    def run() -> Run:
        clean, dlq = bench.new_name("clean"), bench.new_name("dlq")
        pipeline = Pipeline(bench.kafka.bootstrap_servers, bench.new_name("group"), raw.topic, clean, dlq)
        bench.kafka.make_topics(clean, dlq)
        try:
            call = make_call(pipeline)
            with Child(name, call.command, environment=call.environment, log=bench.log(name)) as child:
                found = _watch(bench, child, (clean, dlq), warmup, messages)
            check_outputs(name, pipeline, raw.pool, call.tolerated)
        finally:
            bench.kafka.delete_topics(clean, dlq)
        reading = found.reading
        bench.say(
            f"{name}: {reading.messages / reading.seconds:,.0f}/s, "
            f"{1e6 * reading.cpu_seconds / reading.messages:.2f} µs of CPU a message, at most {found.memory:.0f} MiB"
        )
        return found

    return run


def _watch(bench: Bench, child: Child, topics: Sequence[str], warmup: int, messages: int) -> Run:
    """Return what ``child`` took from its ``warmup``-th record to ``messages`` later."""
    started: tuple[int, float, float] | None = None
    memory = 0.0
    before, moved = 0, time.monotonic()
    deadline = moved + _LONGEST_SECONDS
    while time.monotonic() < deadline:
        child.check()
        written = sum(bench.kafka.count_messages(topics).values())
        now, cpu = time.monotonic(), child.measure_cpu()
        if written > before:
            before, moved = written, now
        elif now - moved > _STUCK_SECONDS:
            raise BenchmarkFailed(f"{child.name} wrote {written} records and then none for {_STUCK_SECONDS:.0f} s")
        if started is None:
            if written >= max(1, warmup):
                started = (written, now, cpu)
        else:
            memory = max(memory, child.measure_memory())
            if written >= started[0] + messages:
                return Run(Reading(written - started[0], now - started[1], cpu - started[2]), memory)
        time.sleep(_LOOK_SECONDS)
    raise BenchmarkFailed(f"{child.name} wrote only {before} records in {_LONGEST_SECONDS:.0f} s")
