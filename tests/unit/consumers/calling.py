"""Calling a handler for a few messages: what the tests of `consumers.calls` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from consumers.calls import HandlerCalls
from unit.consumers.pipeline import make_item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from consumers.calls import Item, Outcome


class Recorder:
    """A handler that does what a function says, and remembers what it was given."""

    def __init__(self, deed: Callable[[Any], Any] = lambda payload: None) -> None:
        self.given: list[Any] = []
        self._deed = deed

    def handle(self, payload: Any) -> Any:
        self.given.append(payload)
        return self._deed(payload)


def run(
    handler: Any,
    items: Sequence[Item],
    *,
    batch: bool = True,
    max_attempts: int = 3,
    isolate: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    calls = HandlerCalls(handler, batch=batch, max_attempts=max_attempts, stopping=stopping)
    return list(calls.run(items, isolate=isolate))


def items(*partitions: int) -> list[Item]:
    """Return one item a partition given, with offsets from 0."""
    return [make_item(offset, partition=partition) for offset, partition in enumerate(partitions)]


def offsets(outcome: Outcome) -> list[int]:
    return [item.record.offset for item in outcome.items]


def reasons(batch: Sequence[Item]) -> list[str | None]:
    return [item.cause.reason if item.cause else None for item in batch]


def raising(error: BaseException) -> Callable[[Any], Any]:
    def deed(_: Any) -> Any:
        raise error

    return deed
