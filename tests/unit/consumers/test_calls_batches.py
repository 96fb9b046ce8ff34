"""A batch that nobody looked into and the same as items: the handler is given the same, and so ends each message."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Literal

import pytest
from confluent_kafka import Message
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.batch import Batch
from consumers.calls import HandlerCalls, Outcome, build_item
from consumers.records import Outgoing, Record, Reject, RetryLater

Deed = Literal["fine", "silent", "reject", "raise reject", "boom", "later", "no json", "other group"]
DEEDS: list[Deed] = ["fine", "silent", "reject", "raise reject", "boom", "later", "no json", "other group"]


def build_message(offset: int, deed: Deed, partition: int) -> Message:
    value = b"{" if deed == "no json" else json.dumps({"offset": offset, "deed": deed}).encode()
    mark = ("replay.group", b"another") if deed == "other group" else ("id", b"%d" % offset)
    headers: list[tuple[str, str | bytes | None]] = [mark]
    return Message(
        topic="t", partition=partition, offset=offset, key=b"k", value=value, headers=headers, timestamp=(1, 2)
    )


class Handler:
    """Does to each message what it says, and counts how often it had it."""

    def __init__(self, *, records: bool, single: bool) -> None:
        self.wants_records = records
        self._single = single
        self.seen: Counter[int] = Counter()

    def handle(self, payload: Any) -> Any:
        values = [each.value if isinstance(each, Record) else each for each in ([payload] if self._single else payload)]
        # Whoever keeps to what it was given may do with it what it likes.
        said = [(value.pop("offset"), value.pop("deed")) for value in values]
        self.seen.update(offset for offset, _ in said)
        for place, (offset, deed) in enumerate(said):
            match deed:
                case "reject":
                    yield Reject("scripted", f"{offset}", place)
                case "raise reject":
                    raise Reject("scripted", f"{offset}", place)
                case "boom":
                    raise ValueError(offset)
                case "later":
                    raise RetryLater(f"{offset}")
                case "fine":
                    yield Outgoing(value=offset)


def settle(outcomes: list[Outcome]) -> tuple[list[bytes], set[int], set[int]]:
    """Carry out what was decided; return what is produced, and the offsets that are dead and those that wait."""
    produced, dead, waiting = [], set(), set()
    for outcome in outcomes:
        if outcome.retry is not None:
            waiting |= {item.record.offset for item in outcome.items}
            continue
        produced += [outgoing.value for outgoing in outcome.outgoing]
        dead |= {item.record.offset for item in outcome.items if item.cause is not None}
        outcome.finish()
    return produced, dead, waiting


@pytest.mark.parametrize("records", [False, True], ids=["values", "records"])
@pytest.mark.parametrize("single", [False, True], ids=["batch", "single"])
@given(script=st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 2)), min_size=1, max_size=12))
@example(script=[("fine", 0), ("boom", 0), ("fine", 0)])
@example(script=[("silent", 0), ("no json", 0), ("boom", 0), ("fine", 1)])
@example(script=[("fine", 0), ("other group", 0), ("reject", 0)])
def test_a_batch_that_nobody_looked_into_ends_as_one_of_items(
    script: list[tuple[Deed, int]], single: bool, records: bool
) -> None:
    # Given the same messages twice
    messages = [build_message(offset, deed, partition) for offset, (deed, partition) in enumerate(script)]
    batch = Batch(messages, decode=True, records=records, group="g")
    items = [
        build_item(
            Record(message.value(), b"k", message.headers(), "t", partition, offset, 2),  # type: ignore[arg-type]
            decode=True,
            group="g",
        )
        for offset, (message, (_, partition)) in enumerate(zip(messages, script, strict=True))
    ]
    # When they are handed over as a batch, and as items
    handlers = [Handler(records=records, single=single) for _ in range(2)]
    whole, one_by_one = (
        HandlerCalls(handler, batch=not single, max_attempts=2, stopping=lambda: False) for handler in handlers
    )
    of_batch = settle(list(whole.run_batch(batch)))
    of_items = settle(list(one_by_one.run(items)))
    # Then the same is produced, dead, waiting and done
    assert of_batch == of_items
    assert [item.done for item in batch.items] == [item.done for item in items]
    assert [item.cause and item.cause.reason for item in batch.items] == [
        item.cause and item.cause.reason for item in items
    ]
    # And the handler had each as often
    assert handlers[0].seen == handlers[1].seen
