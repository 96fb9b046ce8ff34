"""Contenders that take their own time: a program runs through a topic, and says how long it took."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import orjson

from benchmarks.bench import Bench
from benchmarks.child import Child
from benchmarks.programs.task import Task
from benchmarks.rows import Reading

_SECONDS = 180.0
"""Longest run."""

OURS = Path(sys.executable)
"""The interpreter of our own environment."""


def make_contender(
    bench: Bench,
    program: str,
    topic: str,
    *,
    messages: int,
    warmup: int | None = None,
    python: Path = OURS,
    arguments: tuple[str, ...] = (),
) -> Callable[[], Reading]:
    """Return what runs ``benchmarks.programs.PROGRAM`` once, in a group of its own, and gives its reading.

    Without ``warmup`` a tenth of the measured messages goes before them.
    """
    return partial(
        _run, bench, program, topic, messages, messages // 10 if warmup is None else warmup, python, arguments
    )


def _run(
    bench: Bench, program: str, topic: str, messages: int, warmup: int, python: Path, arguments: tuple[str, ...]
) -> Reading:
    task = Task(bench.kafka.bootstrap_servers, topic, bench.new_name("group"), warmup, messages)
    command = [str(python), "-m", f"benchmarks.programs.{program}", orjson.dumps(asdict(task)).decode(), *arguments]
    with Child(program, command, log=bench.log(program), piped=True) as child:
        reading = Reading(**orjson.loads(child.read_output(_SECONDS)))
    bench.say(
        f"{' '.join([program, *arguments])}: {reading.messages / reading.seconds:,.0f}/s, "
        f"{1e6 * reading.cpu_seconds / reading.messages:.2f} µs of CPU a message"
    )
    return reading
