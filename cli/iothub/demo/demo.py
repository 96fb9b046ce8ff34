"""The demonstration: a pipeline, devices that send through it, and the count of what arrived.

This is the only place that knows the order of its acts.
"""

from __future__ import annotations

import asyncio
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from iothub.demo.age import measure_age
from iothub.demo.board import Board, DemoOptions
from iothub.demo.groups import GroupWatcher
from iothub.demo.show import Show, open_show, write_picture
from iothub.demo.snapshot import Snapshot
from iothub.demo.stage import Stage
from iothub.demo.summary import DemoSummary
from iothub.demo.watcher import Watcher
from iothub.devices.counts import Counts
from iothub.devices.fleet import Fleet
from iothub.devices.publisher import Publisher
from iothub.errors import CliError, NotSupported
from iothub.kafka.starts import Beginning, Since
from iothub.target import MqttTarget, Target
from iothub.terminal import Terminal

MOST_RATE_IN_MEMORY = 500.0
"""Messages a second on the Kafka in memory: what it keeps has to outlast a consumer that is a minute late."""
_REFRESH = 0.2
_LOOK = 0.05
_NO_PROGRESS = 30.0
"""Once nothing has arrived for so many seconds, what is missing is lost: a killed consumer is back well before."""
_BEFORE = timedelta(minutes=1)
"""A cluster's clock may be so much behind this one's."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_demo(options: DemoOptions, stage: Stage, terminal: Terminal, *, kept: Path | None = None) -> DemoSummary:
    """Play the demonstration on ``stage`` and return its count. Raises CliError.

    Ctrl-C, SIGTERM, a terminal that closes and whoever ends the hub only shorten the time that devices publish: it
    still ends in order. A second Ctrl-C does not wait for what is still on its way.
    """
    with open_show(terminal) as show:
        demo = Demo(options, stage, show)
        await demo.play()
    if options.picture is not None and demo.last_shown is not None:
        write_picture(demo.last_shown, options.picture)
    return demo.summarise(kept)


class Demo:
    """One demonstration."""

    def __init__(self, options: DemoOptions, stage: Stage, show: Show) -> None:
        self._options = options
        self._stage = stage
        self._show = show
        self._board = Board(options, stage)
        self._end = asyncio.Event()
        self._hurry = asyncio.Event()
        self._notes: list[str] = []
        self._first_reading: float | None = None
        self.last_shown: Snapshot | None = None
        """The screen as it was last while devices published."""

    async def play(self) -> None:
        """Open the stage, publish, wait for what was acknowledged, and close the stage. Raises CliError."""
        self._stage.listen(self._hear)
        with self._ended_by_signals():
            refreshing = asyncio.create_task(self._refresh())
            try:
                await self._play()
            finally:
                refreshing.cancel()
                with suppress(asyncio.CancelledError):
                    await refreshing

    def summarise(self, kept: Path | None) -> DemoSummary:
        """Return the count."""
        board = self._board
        return DemoSummary(
            counts=board.publisher.counts if board.publisher else Counts(),
            totals=board.tally.total(),
            lost_ids=tuple(board.tally.find_awaited()),
            first_reading_seconds=self._first_reading,
            seconds=board.seconds,
            age=measure_age(),
            places=board.places,
            notes=tuple(self._notes),
            kept=kept,
        )

    async def _play(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._stage.close)
            # 1. Devices can publish, and do at once; what reads along begins beside them.
            target = await self._stage.open()
            if target is None:
                self._notes.append("It was ended before devices could publish.")
                return
            watching = asyncio.create_task(self._watch_stage())
            stack.push_async_callback(self._stop_watching_stage, watching)
            publishing = asyncio.create_task(self._publish(target))
            self._begin_to_read(target)
            stack.push_async_callback(self._stop_reading)
            # 2. They publish for as long as was asked for.
            await publishing
            # 3. What the broker has acknowledged arrives.
            self._board.now = "waiting for what is still on its way"
            await self._wait_for_arrivals()
            self._board.now = "ending"

    async def _publish(self, target: Target) -> None:
        board, options = self._board, self._options
        if target.in_memory and board.rate > MOST_RATE_IN_MEMORY:
            board.rate = MOST_RATE_IN_MEMORY
            self._note(f"Kafka in memory keeps little, so devices send {board.rate:g} messages a second.")
        fleet = Fleet(options.devices, damaged=options.damaged, seed=options.seed, run=uuid.uuid4().hex[:8])
        plan = takewhile(lambda planned: planned.due < options.seconds, fleet.plan(board.rate, datetime.now(UTC)))
        publisher = board.publisher = Publisher(
            _mqtt_of(target), on_sent=board.tally.note_sent, on_acknowledged=board.tally.note_acknowledged
        )
        board.now = "devices publish"
        board.begin()
        running = asyncio.create_task(asyncio.to_thread(publisher.run, plan))
        ending = asyncio.create_task(self._end.wait())
        try:
            await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                self._notes.append("It was ended early.")
                board.now = "ending early: waiting for the broker's last answers"
        finally:
            ending.cancel()
            publisher.stop()
            await running
            board.end()
        if publisher.problem is not None:
            self._notes.append(f"It ended early: {publisher.problem}.")

    async def _wait_for_arrivals(self) -> None:
        before, patience = self._board.tally.total(), time.monotonic() + _NO_PROGRESS
        while not self._hurry.is_set():
            totals = self._board.tally.total()
            if not totals.awaited:
                return
            if time.monotonic() > patience:
                self._notes.append(f"Nothing has arrived for {_NO_PROGRESS:.0f} s.")
                return
            if (totals.awaited, totals.raw) != (before.awaited, before.raw):
                before, patience = totals, time.monotonic() + _NO_PROGRESS
            await asyncio.sleep(_LOOK)
        self._notes.append("What was still on its way was not waited for, and counts as lost.")

    def _begin_to_read(self, target: Target) -> None:
        board = self._board
        start = Beginning() if self._stage.is_fresh else Since(datetime.now(UTC) - _BEFORE)
        board.watcher = Watcher(target, board.tally, start)
        board.watcher.start()
        board.groups = GroupWatcher(target, lambda: board.group_names)
        board.groups.start()

    async def _stop_reading(self) -> None:
        for reader in (self._board.watcher, self._board.groups):
            if reader is not None:
                await asyncio.to_thread(reader.stop)

    async def _watch_stage(self) -> None:
        try:
            await self._stage.wait()
        except CliError:
            # What is on its way has nowhere to arrive.
            self._hurry.set()
            raise
        finally:
            self._end.set()

    async def _stop_watching_stage(self, watching: asyncio.Task[None]) -> None:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    @contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def remove() -> None:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

        def end() -> None:
            if self._end.is_set():
                self._hurry.set()
                remove()
            self._end.set()
            self._stage.stop_opening()

        for number in _SIGNALS:
            loop.add_signal_handler(number, end)
        try:
            yield
        finally:
            remove()

    def _hear(self, sentence: str) -> None:
        """Take what the stage tells."""
        if not self._board.is_publishing:
            self._board.now = sentence
        self._show.tell(sentence)

    def _note(self, sentence: str) -> None:
        self._notes.append(sentence)
        self._show.tell(sentence)

    async def _refresh(self) -> None:
        while True:
            snapshot = self._board.take_snapshot()
            self._show.update(snapshot)
            if snapshot.readings and self._first_reading is None:
                self._first_reading = measure_age()
            if snapshot.readings and self._board.is_publishing:
                self.last_shown = snapshot
            await asyncio.sleep(_REFRESH)


def _mqtt_of(target: Target) -> MqttTarget:
    if target.mqtt is None:
        raise NotSupported(f"{target.title} has no MQTT broker that devices could publish to")
    return target.mqtt
