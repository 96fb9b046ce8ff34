"""What `iothub simulate` does: devices, or a file's readings, sent over MQTT or HTTP, and what became of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from pathlib import Path

from iothub.devices.counts import Counts
from iothub.devices.damage import DamagePlan
from iothub.devices.fleet import Fleet
from iothub.devices.message import Message, Planned, address_over_http
from iothub.devices.progress import Progress, open_progress
from iothub.devices.publisher import Publisher
from iothub.devices.readings import BadRow, CsvFile, plan_readings
from iothub.errors import UsageError
from iothub.target import HttpTarget, MqttTarget
from iothub.terminal import Terminal

_LOOK_EVERY = 0.1
_BAD_ROWS_SHOWN = 3


@dataclass(frozen=True)
class Replay:
    """A file of readings in place of made-up ones; ``speed`` 60 plays an hour in a minute, None without any pause."""

    file: CsvFile
    speed: float | None = 1.0
    skip_bad_rows: bool = False


@dataclass(frozen=True)
class SimulationOptions:
    """What is to be sent. ``run`` marks this run's messages; with ``replay``, devices and rate are the file's."""

    run: str
    devices: int = 20
    rate: float = 10.0
    damaged: float = 0.0
    messages: int | None = None
    seconds: float | None = None
    seed: int = 0
    replay: Replay | None = None
    acknowledged: Path | None = None
    """File that gets the ids of acknowledged messages, one a line."""


@dataclass(frozen=True)
class SimulationSummary:
    """What became of it."""

    counts: Counts
    seconds: float
    skipped_rows: int
    problem: str | None
    """Why it ended before its plan did."""

    @property
    def is_good(self) -> bool:
        """Whether all that was to be sent was sent and acknowledged."""
        return self.problem is None and self.counts.acknowledged == self.counts.sent

    def to_document(self) -> dict[str, object]:
        """Return it for ``--output json``."""
        counts = self.counts
        return {
            "sent": counts.sent,
            "acknowledged": counts.acknowledged,
            "refused": counts.refused,
            "not_acknowledged": counts.unanswered,
            "no_subscriber": counts.unheard,
            "seconds": round(self.seconds, 3),
            "rate": round(counts.acknowledged / self.seconds, 1) if self.seconds else 0.0,
            "damaged": dict(counts.damaged.most_common()),
            "refusals": dict(counts.refusals),
            "skipped_rows": self.skipped_rows,
            "problem": self.problem,
        }


def run_simulation(
    options: SimulationOptions, target: MqttTarget | HttpTarget, terminal: Terminal
) -> SimulationSummary:
    """Send what ``options`` say until it is all out, or until Ctrl-C or SIGTERM, and wait for the last answers.

    Raises Unavailable where nothing answers, UsageError for a file that can't be read or written.
    """
    skipped, total = _check_file(options, terminal)
    with ExitStack() as stack:
        write = stack.enter_context(open_acknowledged(options.acknowledged))
        publisher = Publisher(target, on_acknowledged=write)
        with terminal.waiting(target.title):
            publisher.connect()
        progress = stack.enter_context(open_progress(terminal, total, options.seconds))
        plan = _limit(_plan(options), options)
        if isinstance(target, HttpTarget):
            plan = (Planned(due, address_over_http(message)) for due, message in plan)
        started = time.monotonic()
        _run_watched(publisher, plan, progress)
        seconds = time.monotonic() - started
    return SimulationSummary(publisher.counts, seconds, skipped, publisher.problem)


def _run_watched(publisher: Publisher, plan: Iterable[Planned], progress: Progress) -> None:
    """Run the publisher on a thread of its own, so that this one can take signals and show how far it is."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            publisher.run(plan)
        except BaseException as error:  # handed to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work, name="publisher", daemon=True)
    with _stopping(publisher):
        thread.start()
        while thread.is_alive():
            thread.join(_LOOK_EVERY)
            progress.update(publisher.counts, away=publisher.is_away)
    if failures:
        raise failures[0]


@contextmanager
def _stopping(publisher: Publisher) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end it in order, the second at once."""

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        publisher.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_file(options: SimulationOptions, terminal: Terminal) -> tuple[int, int | None]:
    """Read the whole file before anything is sent. Return how many rows are left out, and the messages to come."""
    if options.replay is None:
        totals = [options.messages, None if options.seconds is None else round(options.seconds * options.rate)]
        return 0, min((total for total in totals if total is not None), default=None)
    bad: list[BadRow] = []
    rows = sum(1 for _ in options.replay.file.read(on_bad_row=bad.append if options.replay.skip_bad_rows else None))
    for row in bad[:_BAD_ROWS_SHOWN]:
        terminal.say(f"left out: {row}")
    if len(bad) > _BAD_ROWS_SHOWN:
        terminal.say(f"left out: {len(bad) - _BAD_ROWS_SHOWN} more rows")
    if not rows:
        raise UsageError(f"{options.replay.file.path} has no row to send")
    return len(bad), rows if options.messages is None else min(rows, options.messages)


def _plan(options: SimulationOptions) -> Iterator[Planned]:
    if options.replay is None:
        fleet = Fleet(options.devices, damaged=options.damaged, seed=options.seed, run=options.run)
        return fleet.plan(options.rate, datetime.now(UTC))
    return plan_readings(
        options.replay.file.read(on_bad_row=(lambda _: None) if options.replay.skip_bad_rows else None),
        speed=options.replay.speed,
        damage=DamagePlan(options.damaged, options.seed),
        run=options.run,
    )


def _limit(plan: Iterator[Planned], options: SimulationOptions) -> Iterator[Planned]:
    seconds = options.seconds
    if seconds is not None:
        plan = takewhile(lambda planned: planned.due < seconds, plan)
    return islice(plan, options.messages)


@contextmanager
def open_acknowledged(path: Path | None) -> Iterator[Callable[[Message], None]]:
    """Yield what notes an acknowledged message in the file ``path``, or nowhere. Raises UsageError, and so may that."""
    if path is None:
        yield lambda _: None
        return
    with _naming_file(path):
        file = path.open("w", encoding="ascii")

    def write(message: Message) -> None:
        with _naming_file(path):
            print(message.id, file=file)

    try:
        yield write
    finally:
        with _naming_file(path):
            file.close()


@contextmanager
def _naming_file(path: Path) -> Iterator[None]:
    """Have what the system says of ``path`` (no room, no right) end the command as a sentence."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from error
