"""Wait for a condition with a deadline: no test sleeps in the hope that something has happened."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    *,
    timeout: float = 30.0,
    interval: float = 0.05,
    what: str = "the condition",
    hint: Callable[[], str] | None = None,
) -> T:
    """Call ``condition`` until what it returns is true, and return that.

    After ``timeout`` seconds a ``TimeoutError`` names ``what`` was waited for, with the last answer and ``hint()``.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            extra = f"\n{hint()}" if hint else ""
            raise TimeoutError(f"waited {timeout:g} s for {what}; last answer: {answer!r}{extra}")
        time.sleep(interval)
