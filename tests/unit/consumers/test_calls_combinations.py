"""Every kind of handler with everything that it may do: what becomes of the message depends on the latter alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from itertools import product
from typing import Any

import pytest

from consumers.async_handlers import adapt
from consumers.records import Outgoing, Record, Reject, RetryLater
from unit.consumers.calling import items, offsets, run

GIVEN: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "outgoing": lambda: Outgoing("out", b"1", "k", [("h", b"2")]),
    "reject": lambda: Reject("r", "m", 0),
    "later": lambda: RetryLater("busy", after=3),
}
"""What a handler returns, yields, or raises where it is an error."""
RAISED: dict[str, BaseException] = {
    "reject": Reject("r", "m", 0),
    "later": RetryLater("busy", after=3),
    "transient": ConnectionError("db"),
    "error": ValueError("no"),
    "cancelled": asyncio.CancelledError(),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
}


def build(*, asynchronous: bool, records: bool, yields: bool, end: Callable[[], object]) -> Any:
    """Return a handler that notes its payload and does what ``end`` says: give what it returns, or raise."""

    class Base:
        wants_records = records
        given: list[Any]

        def __init__(self) -> None:
            self.given = []

    class Returns(Base):
        def handle(self, payload: Any) -> object:
            self.given.append(payload)
            return end()

    class Yields(Base):
        def handle(self, payload: Any) -> Iterator[object]:
            self.given.append(payload)
            result = end()
            if result is not None:
                yield result

    class AsyncReturns(Base):
        async def handle(self, payload: Any) -> object:
            self.given.append(payload)
            await asyncio.sleep(0)
            return end()

    class AsyncYields(Base):
        async def handle(self, payload: Any) -> AsyncIterator[object]:
            self.given.append(payload)
            await asyncio.sleep(0)
            result = end()
            if result is not None:
                yield result

    return {(0, 0): Returns, (0, 1): Yields, (1, 0): AsyncReturns, (1, 1): AsyncYields}[asynchronous, yields]()


KINDS = [
    pytest.param(
        *kind,
        id="-".join(word for word, yes in zip(("batch", "async", "records", "yields"), kind, strict=True) if yes)
        or "plain",
    )
    for kind in product([False, True], repeat=4)
]


@pytest.mark.parametrize(("batch", "asynchronous", "records", "yields"), KINDS)
class TestEveryKindOfHandler:
    @pytest.mark.parametrize("what", GIVEN)
    def test_gives_back(self, what: str, batch: bool, asynchronous: bool, records: bool, yields: bool) -> None:
        # Given
        handler = adapt(build(asynchronous=asynchronous, records=records, yields=yields, end=GIVEN[what]))
        [item] = messages = items(0)
        # When
        [outcome] = run(handler, messages, batch=batch)
        # Then it was given what it wants
        [payload] = handler.given  # type: ignore[attr-defined]
        [one] = payload if batch else [payload]
        assert isinstance(one, Record) is records
        # And what it gave is what becomes of the message
        assert offsets(outcome) == [0]
        assert (outcome.retry and outcome.retry.after) == (3 if what == "later" else None)
        assert (item.cause and item.cause.reason) == ("r" if what == "reject" else None)
        assert outcome.outgoing == ([Outgoing("out", b"1", b"k", [("h", b"2")])] if what == "outgoing" else [])
        close(handler)

    @pytest.mark.parametrize("what", RAISED)
    def test_raises(self, what: str, batch: bool, asynchronous: bool, records: bool, yields: bool) -> None:
        # Given
        def end() -> object:
            raise RAISED[what]

        handler = adapt(build(asynchronous=asynchronous, records=records, yields=yields, end=end))
        [item] = messages = items(0)
        # When
        try:
            [outcome] = run(handler, messages, batch=batch, max_attempts=1)
        # Then a person ends it, and nobody else
        except KeyboardInterrupt:
            assert what == "interrupt"
            assert (item.attempts, item.cause) == (0, None)
        else:
            assert (outcome.retry is not None) == (what in {"later", "transient"})
            expected = {"reject": "r", "later": None, "transient": None}.get(what, "handler_failed")
            assert (item.cause and item.cause.reason) == expected
            assert outcome.outgoing == []
        # And the next message finds the handler as it was
        with pytest.raises(KeyboardInterrupt) if what == "interrupt" else nullcontext():
            assert len(run(handler, items(0), batch=batch)) == 1
        close(handler)


def close(handler: Any) -> None:
    if hasattr(handler, "close"):
        handler.close()
