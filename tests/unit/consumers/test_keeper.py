"""The keeper polls while the main thread is busy for long, and never beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from consumers.keeper import Keeper
from consumers.stop import Stop
from support.waiting import wait_until


def make_keeper(
    poll: Callable[[], None],
    *,
    stop: Stop | None = None,
    told_to_end: Callable[[], None] = lambda: None,
    patience: float = 0.0,
) -> Keeper:
    return Keeper(poll, stop=stop or Stop(), told_to_end=told_to_end, patience=patience)


def test_it_polls_while_the_main_thread_is_busy_and_not_before_or_after() -> None:
    polls: list[float] = []
    with make_keeper(lambda: polls.append(1)) as keeper:
        assert keeper.busy_for == 0
        keeper.begin()
        wait_until(lambda: len(polls) >= 2)
        keeper.end()
        seen = len(polls)
        # Another round of it would have come by now.
        assert not threading.Event().wait(0.6)
        assert len(polls) == seen


def test_a_short_call_never_meets_it() -> None:
    polls: list[float] = []
    with make_keeper(lambda: polls.append(1), patience=60) as keeper:
        keeper.begin()
        assert not threading.Event().wait(0.6)
        keeper.end()
    assert polls == []


def test_the_main_thread_waits_until_a_poll_is_over() -> None:
    entered, leave, ended = threading.Event(), threading.Event(), threading.Event()

    def poll() -> None:
        entered.set()
        assert leave.wait(10)

    with make_keeper(poll) as keeper:
        keeper.begin()
        assert entered.wait(10)

        def end() -> None:
            keeper.end()
            ended.set()

        main = threading.Thread(target=end)
        main.start()
        assert not ended.wait(0.3)
        leave.set()
        assert ended.wait(10)
        main.join()


def test_a_callback_waits_until_the_main_thread_is_done() -> None:
    """Given a poll whose callback has to have what is in hand at its end, then each gets what it waits for."""
    waited: list[bool] = []
    entered = threading.Event()

    def poll() -> None:
        entered.set()
        waited.append(keeper.wait_until_done(10))

    keeper = make_keeper(poll)
    with keeper:
        keeper.begin()
        assert entered.wait(10)
        keeper.end()
        assert waited == [True]


def test_a_callback_does_not_wait_for_ever() -> None:
    waited: list[bool] = []
    keeper = make_keeper(lambda: waited.append(keeper.wait_until_done(0.05)))
    with keeper:
        keeper.begin()
        wait_until(lambda: bool(waited))
        keeper.end()
    assert waited[0] is False


def test_what_its_poll_raises_is_the_main_threads_to_raise() -> None:
    polled = threading.Event()

    def poll() -> None:
        polled.set()
        raise RuntimeError("fatal")

    with make_keeper(poll) as keeper:
        keeper.begin()
        assert polled.wait(10)
        with pytest.raises(RuntimeError, match="fatal"):
            keeper.end()
        # Told once; the next iteration begins anew.
        keeper.begin()
        polled.clear()
        assert polled.wait(10)
        with pytest.raises(RuntimeError, match="fatal"):
            keeper.end()


def test_the_end_that_is_asked_for_is_told_once_an_iteration() -> None:
    told: list[int] = []
    stop = Stop()
    with make_keeper(lambda: None, stop=stop, told_to_end=lambda: told.append(1), patience=60) as keeper:
        keeper.begin()
        assert not threading.Event().wait(0.4)
        assert told == []
        stop.ask()
        wait_until(lambda: told == [1])
        assert not threading.Event().wait(0.6)
        assert told == [1]
        keeper.end()
