"""The consumer's decisions without Kafka: `HandlerCalls` and `Holds` put together as `KafkaConsumer` does.

Time is a number, and a handler does to each message what its script says.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from consumers.calls import HandlerCalls, Item, blame
from consumers.holds import Holds
from consumers.records import Outgoing, Record, Reject, RetryLater
from telemetry.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.calls import Handler, Outcome

Deed = Literal["fine", "silent", "huge", "reject", "raise reject", "wrong place", "boom", "connection", "later"]
"""What a handler does at the sight of a message; the last three until its patience is used up, then ``fine``."""

FOR_EVER = 1_000
TOO_LARGE = b"too large: "
"""What begins so, Kafka will never take."""
REFUSAL = DeliveryError("telemetry.clean: Message size too large", code="MSG_SIZE_TOO_LARGE")


def make_item(offset: int, value: Any = None, *, partition: int = 0, topic: str = "t") -> Item:
    """Return a message as the consumer has it in hand: by default its value is its offset."""
    raw = b"%d" % offset
    return Item(Record(offset if value is None else value, None, (), topic, partition, offset, 0), raw)


@dataclass
class Script:
    """What is done to one message, and how many times before it passes."""

    name: str
    deed: Deed
    times: int = FOR_EVER
    handed: int = 0
    """How often it was handed over, alone or in a batch."""


@dataclass
class ScriptedHandler:
    """Follows the script of each message that it is given: the record's value is the script."""

    batch: bool
    lazy: bool = False
    """Whether it yields as it goes, so that an error comes after some of its output."""

    def handle(self, payload: Script | list[Script]) -> object:
        scripts = payload if isinstance(payload, list) else [payload]
        for script in scripts:
            script.handed += 1
        return self._work(scripts) if self.lazy else list(self._work(scripts))

    def _work(self, scripts: list[Script]) -> Iterator[Outgoing | Reject]:
        for place, script in enumerate(scripts):
            match script.deed:
                case "reject":
                    yield Reject("scripted", script.name, place if self.batch else None)
                    continue
                case "raise reject":
                    raise Reject("scripted", script.name, place if self.batch else None)
                case "wrong place" if len(scripts) > 1:
                    yield Reject("scripted", script.name, 0)
                    yield Reject("scripted", script.name, len(scripts) + 3)
                    continue
                case "boom" | "connection" | "later" if script.times:
                    script.times -= 1
                    raise {"boom": ValueError, "connection": ConnectionError, "later": RetryLater}[script.deed]("no")
                case "silent":
                    continue
                case "huge":
                    yield Outgoing(value=TOO_LARGE + script.name.encode())
                    continue
            yield Outgoing(value=script.name.encode())


@dataclass
class Fate:
    """What has become of all messages: names of outgoing messages and offsets, in the order in which it happened."""

    produced: list[bytes] = field(default_factory=list)
    settled: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    """By partition, the offsets over which the group's place has moved."""
    rounds: int = 0


def consume(
    handler: Handler,
    items: Sequence[Item],
    *,
    batch: bool,
    batch_size: int,
    max_attempts: int,
    watch: Callable[[Sequence[Item], list[Outcome]], None] = lambda items, outcomes: None,
) -> Fate:
    """Consume ``items`` to their end, as `KafkaConsumer._work` does, and return what has become of them.

    ``watch`` sees each iteration: its items and their outcomes. Time passes only while all there is waits.
    """
    now = 0.0
    holds = Holds(lambda: now, jitter=lambda: 0.5)
    calls = HandlerCalls(handler, batch=batch, max_attempts=max_attempts, stopping=lambda: False)
    fate, inbox = Fate(), deque(items)
    while inbox or len(holds):
        fate.rounds += 1
        assert fate.rounds < 5_000, "it never ends"
        due = holds.take_due()
        if due is not None:
            work, isolate = due[1].items, due[1].isolate
        else:
            work, isolate = _take(inbox, holds, batch_size), False
        if not work:
            now += holds.seconds_until_due() or 0.0
            continue
        undone_before = [item for item in work if not item.done]
        outcomes = list(calls.run(work, isolate=isolate))
        watch(undone_before, outcomes)
        for outcome in outcomes:
            if any(outgoing.value.startswith(TOO_LARGE) for outgoing in outcome.outgoing):
                blame(outcome, REFUSAL)
            elif outcome.retry is None:
                fate.produced += [outgoing.value for outgoing in outcome.outgoing]
                for item in outcome.items:
                    assert not item.done, f"two outcomes for offset {item.record.offset}"
                    item.done = True
        waits = {item.partition: outcome.retry for outcome in outcomes if outcome.retry for item in outcome.items}
        for partition in dict.fromkeys(item.partition for item in work):
            own = [item for item in work if item.partition == partition]
            undone = next((place for place, item in enumerate(own) if not item.done), len(own))
            fate.settled.setdefault(partition, []).extend(item.record.offset for item in own[:undone])
            if undone:
                holds.settle(partition)
            if undone < len(own):
                retry = waits.get(partition)
                holds.hold(
                    partition,
                    own[undone:],
                    problem=str(retry),
                    after=retry.after if retry is not None else None,
                    isolate=any(item.attempts for item in own[undone:]),
                )
    return fate


def _take(inbox: deque[Item], holds: Holds, most: int) -> list[Item]:
    taken = [item for item in inbox if item.partition not in holds][:most]
    for item in taken:
        inbox.remove(item)
    return taken
