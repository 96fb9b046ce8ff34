"""What a handler fails on leaves nothing for Python's collector, which comes by rarely in a worker."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Message

from consumers.batch import Batch
from consumers.calls import HandlerCalls
from consumers.records import Reject, RetryLater


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "fail",
    [
        lambda: Reject("bad", "no", 1),
        lambda: Reject("bad", "no"),
        lambda: RetryLater("later"),
        lambda: ConnectionError("away"),
        lambda: KeyError("x"),
    ],
)
def test_a_failure_keeps_no_batch_in_the_memory(fail: Callable[[], Exception], together: bool) -> None:
    class Failing:
        def handle(self, payload: Any) -> None:
            try:
                raise ValueError("behind it")
            except ValueError as behind:
                raise fail() from behind

    calls = HandlerCalls(Failing(), batch=together, max_attempts=2, stopping=lambda: False)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            messages = [Message(topic="t", value=b"1", partition=0, offset=n, error=None) for n in range(3)]
            list(calls.run_batch(Batch(messages, decode=True, records=False, group="g")))
        assert gc.collect() == 0
    finally:
        gc.enable()
