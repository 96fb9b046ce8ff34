"""Calls into librdkafka that may not return, made aside: whoever asks for one can stop waiting for it.

A broker that is there and does not answer (frozen, or behind a network that drops packets) keeps some calls waiting
without end, and a call in C hears no signal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")

_LOOK = 0.1
"""Seconds between two looks at the patience of whoever waits."""


class NoAnswer(Exception):
    """A call made aside has not returned, and is not waited for any longer."""


class Aside:
    """One daemon thread for such calls, one at a time. Once it is stuck in one, every other is NoAnswer at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.is_stuck = False

    def call(self, action: Callable[[], Result], may_go_on: Callable[[], bool]) -> Result:
        """Return what ``action`` returns, or raise what it raises; NoAnswer as soon as ``may_go_on`` says no."""
        if self.is_stuck:
            raise NoAnswer
        results: SimpleQueue[tuple[Result, None] | tuple[None, BaseException]] = SimpleQueue()

        def run() -> None:
            try:
                results.put((action(), None))
            except BaseException as error:  # the caller's to raise
                results.put((None, error))

        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(run)
        while True:
            try:
                result, error = results.get(timeout=_LOOK)
            except Empty:
                if may_go_on():
                    continue
                self.is_stuck = True
                raise NoAnswer from None
            if error is not None:
                raise error
            return result  # type: ignore[return-value]  # None belongs to an error

    def close(self) -> None:
        """End the thread behind what it is at."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread = None

    def _serve(self) -> None:
        while True:
            call = self._calls.get()
            if call is None:
                return
            call()
            del call
