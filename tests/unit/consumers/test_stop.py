"""The way out of a consumer is bounded, also where Kafka does not answer."""

from __future__ import annotations

import threading

import pytest

from consumers.aside import Aside, NoAnswer
from consumers.keeper import Keeper
from consumers.stop import LEAVE, OUTPUTS, Stop
from support.waiting import wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestStop:
    def test_while_nobody_asks_a_step_has_all_the_time(self) -> None:
        clock = Clock()
        stop = Stop(clock)
        may_go_on = stop.make_patience(OUTPUTS)
        clock.now += 1_000_000
        assert may_go_on()
        assert not stop.is_asked()

    def test_its_steps_end_so_many_seconds_after_it_was_asked(self) -> None:
        clock = Clock()
        stop = Stop(clock)
        outputs, leave = stop.make_patience(OUTPUTS), stop.make_patience(LEAVE)
        stop.ask()
        clock.now += 5
        stop.ask()
        clock.now += OUTPUTS.until - 5.1
        assert outputs()
        clock.now += 0.2
        assert leave()
        clock.now += LEAVE.until - OUTPUTS.until
        assert not leave()

    def test_what_begins_late_has_its_own_time(self) -> None:
        clock = Clock()
        stop = Stop(clock)
        stop.ask()
        clock.now += 3600
        may_go_on = stop.make_patience(OUTPUTS)
        assert may_go_on()
        clock.now += OUTPUTS.at_least - 0.1
        assert may_go_on()
        clock.now += 0.2
        assert not may_go_on()

    def test_all_of_it_fits_into_what_kubernetes_gives(self) -> None:
        assert OUTPUTS.until < LEAVE.until < 30


class TestAside:
    def test_it_returns_and_raises_what_the_call_does(self) -> None:
        aside = Aside("test")
        assert aside.call(lambda: threading.current_thread().name, lambda: False) == "test"
        with pytest.raises(ZeroDivisionError):
            aside.call(lambda: 1 // 0, lambda: True)
        assert aside.call(lambda: 2, lambda: True) == 2
        aside.close()
        wait_until(lambda: "test" not in {thread.name for thread in threading.enumerate()})

    def test_a_call_that_does_not_return_is_left_and_so_is_every_other(self) -> None:
        aside, answer, looks = Aside("test"), threading.Event(), list[int]()

        def may_go_on() -> bool:
            looks.append(1)
            return len(looks) < 3

        with pytest.raises(NoAnswer):
            aside.call(answer.wait, may_go_on)
        assert len(looks) == 3
        assert aside.is_stuck
        with pytest.raises(NoAnswer):
            aside.call(lambda: 1, lambda: True)
        answer.set()
        aside.close()


def test_a_keeper_that_hangs_does_not_keep_the_consumer_from_its_end() -> None:
    clock, answer, polling = Clock(), threading.Event(), threading.Event()
    stop = Stop(clock)

    def poll() -> None:
        polling.set()
        answer.wait()

    keeper = Keeper(poll, stop=stop, told_to_end=lambda: None, patience=0.0)
    with keeper:
        keeper.begin()
        assert polling.wait(10)
        stop.ask()
        clock.now += 3600
        threading.Timer(0.5, lambda: setattr(clock, "now", clock.now + 60)).start()
        keeper.end()
        threading.Timer(0.5, lambda: setattr(clock, "now", clock.now + 60)).start()
    answer.set()
