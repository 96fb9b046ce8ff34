"""Handing messages to a handler as a worker would, with nothing committed and nothing produced.

Where a worker would wait before it tries a message again, the next try is at once; where it would wait for something
outside (RetryLater, an error known to pass), the trial leaves the message and says so.
"""

from __future__ import annotations

import inspect
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from consumers.calls import Handler, HandlerCalls, Item, Outcome, build_item
from consumers.records import Outgoing, Record, Reject, RetryLater
from consumers.settings import WorkerSettings
from iothub.handlers.results import DeadLetter, MessagePlace, Produced, Retry, SampleReport

HANDLER_FAILED = "handler_failed"
"""The worker's reason for a dead letter whose handler failed each time."""

_MOST_SHOWN = 5
_SHOWN_CHARACTERS = 200


def run_sample(handler: Handler, settings: WorkerSettings, group: str, records: Sequence[Record]) -> SampleReport:
    """Hand ``records`` (values in bytes) to ``handler`` and return what a worker would do with what comes of it."""
    decode = settings.decode_json and not getattr(handler, "wants_bytes", False)
    sample = _Sample(handler, settings)
    items = [build_item(record, decode=decode, group=group) for record in records]
    size = settings.batch_max_size if settings.batch else max(1, len(items))
    for start in range(0, len(items), size):
        sample.run(items[start : start + size])
    return sample.report(len(items))


class _Watched:
    """The handler, with an eye on the time it takes and on what it raises."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.wants_records = bool(getattr(handler, "wants_records", False))
        self.calls = 0
        self.seconds = 0.0
        self.raised: str | None = None

    def handle(self, payload: Any) -> Any:
        self.calls += 1
        self.raised = None
        started = time.perf_counter()
        try:
            result = self._handler.handle(payload)
            # What a generator raises, it raises while it is gone through.
            return list(result) if inspect.isgenerator(result) else result
        except (Reject, RetryLater):
            raise
        except BaseException as error:
            self.raised = _describe(error)
            raise
        finally:
            self.seconds += time.perf_counter() - started


class _Sample:
    def __init__(self, handler: Handler, settings: WorkerSettings) -> None:
        self._settings = settings
        self._watched = _Watched(handler)
        self._calls = HandlerCalls(
            self._watched, batch=settings.batch, max_attempts=settings.max_attempts, stopping=lambda: False
        )
        self._handled = 0
        self._skipped = 0
        self._held_back = 0
        self._dead: list[DeadLetter] = []
        self._retries: list[Retry] = []
        self._produced: Counter[str] = Counter()
        self._first: list[Produced] = []
        self._homeless = 0
        self._waiting: set[tuple[str, int]] = set()
        """Partitions of which nothing more is handed over."""

    def run(self, items: Sequence[Item]) -> None:
        """Hand over one iteration's items until each is done, or waits for something outside."""
        self._skipped += sum(item.skipped for item in items)
        left = [item for item in items if not item.done]
        retried = len(self._retries)
        isolate = False
        while open_items := [item for item in left if not item.done and item.partition not in self._waiting]:
            tries = {id(item): item.attempts for item in open_items}
            for outcome in self._calls.run(open_items, isolate=isolate):
                if outcome.retry is None:
                    self._settle(outcome)
                elif all(item.attempts == tries[id(item)] for item in outcome.items):
                    self._note_retry(outcome, outcome.retry)
                    self._waiting |= {item.partition for item in outcome.items}
            isolate = any(item.attempts for item in open_items)
        self._held_back += sum(not item.done for item in left) - (len(self._retries) - retried)

    def report(self, messages: int) -> SampleReport:
        """Return what came of all messages."""
        return SampleReport(
            messages=messages,
            handled=self._handled,
            skipped=self._skipped,
            dead_letters=tuple(sorted(self._dead, key=attrgetter("place.topic", "place.partition", "place.offset"))),
            retries=tuple(self._retries),
            held_back=self._held_back,
            produced=dict(self._produced),
            first_produced=tuple(self._first),
            homeless=self._homeless,
            calls=self._watched.calls,
            seconds=self._watched.seconds,
        )

    def _settle(self, outcome: Outcome) -> None:
        for outgoing in outcome.outgoing:
            self._note_outgoing(outgoing)
        for item in outcome.items:
            item.done = True
            if item.cause is None:
                self._handled += 1
                continue
            cause = item.cause
            self._dead.append(
                DeadLetter(
                    place=_place(item),
                    reason=cause.reason,
                    message=cause.message,
                    stage=cause.stage,
                    attempts=cause.attempts,
                    raised=(self._watched.raised or cause.message) if cause.reason == HANDLER_FAILED else None,
                )
            )

    def _note_retry(self, outcome: Outcome, retry: RetryLater) -> None:
        after = "" if retry.after is None else f" (after {retry.after:g} s)"
        message = f"{str(retry) or 'the handler asked for later'}{after}"
        self._retries += [Retry(place=_place(item), message=message) for item in outcome.items]

    def _note_outgoing(self, outgoing: Outgoing) -> None:
        topic = outgoing.topic or self._settings.output_topic
        if topic is None:
            self._homeless += 1
        else:
            self._produced[topic] += 1
        if len(self._first) < _MOST_SHOWN:
            self._first.append(Produced(topic=topic, key=_shorten(outgoing.key), value=_shorten(outgoing.value)))


def _place(item: Item) -> MessagePlace:
    return MessagePlace(topic=item.record.topic, partition=item.record.partition, offset=item.record.offset)


def _shorten(value: Any) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _describe(error: BaseException) -> str:
    """Return the last line of the traceback, and the line of code that it came from."""
    line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    frames = traceback.extract_tb(error.__traceback__)
    # The first frame is ours; an error without another one has no code of the handler's.
    return f"{line} ({frames[-1].filename}, line {frames[-1].lineno})" if len(frames) > 1 else line
