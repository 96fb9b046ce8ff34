"""What a program is to do, from its command line, and how it says what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from benchmarks.programs.stopwatch import Stopwatch


@dataclass(frozen=True)
class Task:
    """One run: read or write ``topic``, leave ``warmup`` messages out, and measure the ``messages`` after them."""

    bootstrap_servers: str
    topic: str
    group: str
    warmup: int
    messages: int

    def make_stopwatch(self) -> Stopwatch:
        """Return the stopwatch of this run."""
        return Stopwatch(self.warmup, self.messages)


def read_task() -> Task:
    """Return the task that is the first argument, a JSON object."""
    return Task(**json.loads(sys.argv[1]))


def hand_in(watch: Stopwatch) -> None:
    """Print what was measured. Raises RuntimeError where the program ended before its last message."""
    if watch.report is None:
        raise RuntimeError("ended before the last message")
    sys.stdout.buffer.write(watch.report)
