"""Takes the time between two messages: from the end of the warm-up to the last one."""

from __future__ import annotations

import json
import time


class Stopwatch:
    """Counts messages; leaves the first ``warmup`` out and measures ``messages`` from there."""

    def __init__(self, warmup: int, messages: int) -> None:
        self._next = max(1, warmup)
        self._messages = messages
        self._started: tuple[int, float, float] | None = None
        self._seen = 0
        self.report: bytes | None = None
        """What was measured, once the last message is counted."""

    def count(self, number: int = 1) -> bool:
        """Count ``number`` messages, and return whether that was the end."""
        self._seen += number
        return self._seen >= self._next and self._lap()

    def _lap(self) -> bool:
        if self._started is None:
            self._started = (self._seen, time.perf_counter(), time.process_time())
            self._next = self._seen + self._messages
            return False
        if self.report is None:
            seen, began, used = self._started
            self.report = json.dumps(
                {
                    "messages": self._seen - seen,
                    "seconds": time.perf_counter() - began,
                    "cpu_seconds": time.process_time() - used,
                }
            ).encode()
        return True
