"""The API server goes, falls silent, or is slow, and a watch is lost without a word."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from operator_faults.settings import OperatorFaultSettings
from operator_faults.stage import Stage, number

pytestmark = pytest.mark.cluster

SETTINGS = OperatorFaultSettings.read()
LATE_SECONDS = (2.0, 5.0)
"""How late each piece of an answer is, where the API server is slow."""

Strike = Callable[[Stage], AbstractContextManager[None]]


@contextmanager
def refused(stage: Stage) -> Iterator[None]:
    """Nobody listens."""
    stage.proxy.refuse()
    try:
        yield
    finally:
        stage.proxy.listen()


@contextmanager
def silent(stage: Stage) -> Iterator[None]:
    """Every connection stands, new ones too, and nothing comes."""
    stage.proxy.silence()
    try:
        yield
    finally:
        stage.proxy.speak()


@contextmanager
def late(stage: Stage) -> Iterator[None]:
    """Every answer comes, but late."""
    stage.proxy.delay = LATE_SECONDS
    try:
        yield
    finally:
        stage.proxy.delay = None


@contextmanager
def slowed(_: Stage) -> Iterator[None]:
    """The real one is slow, by the command that the environment names."""
    process = subprocess.Popen(["sh", "-c", SETTINGS.api_slow], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


AWAY: list[Strike] = [refused, silent]
SLOW: list[Strike] = [late, *([slowed] if SETTINGS.api_slow else [])]


@pytest.mark.parametrize("strike", AWAY)
def test_what_happened_while_it_was_away_is_caught_up_with(
    stage: Stage, settings: OperatorFaultSettings, strike: Strike
) -> None:
    edited, childless, deleted = (number(word, 3) for word in ("edited", "childless", "deleted"))
    stage.write([*edited, *childless, *deleted])
    stage.converge()

    with strike(stage):
        stage.write(edited, attempts=7)
        stage.write(number("new", 3))
        stage.delete_deployments(childless)
        stage.delete(deleted)
        stage.endure(settings.seconds)
    stage.converge()


@pytest.mark.parametrize("strike", SLOW)
def test_a_slow_one_slows_it_and_nothing_more(stage: Stage, settings: OperatorFaultSettings, strike: Strike) -> None:
    edited = number("edited", 5)
    stage.write(edited)
    stage.converge()

    with strike(stage):
        stage.write(edited, attempts=7)
        stage.write(number("new", 5))
        stage.endure(settings.seconds)
    stage.converge()


@pytest.mark.skipif(not SETTINGS.api_stop, reason="FAULT_API_STOP and FAULT_API_START name no commands")
def test_the_real_one_is_stopped(stage: Stage, settings: OperatorFaultSettings) -> None:
    """Given work that has just been written, when the API server ends under it, then a start of it brings all of it."""
    names = number("made", 20)
    stage.write(names)
    stage.converge()
    stage.write(names, attempts=7)
    subprocess.run(["sh", "-c", SETTINGS.api_stop], check=True, timeout=60)
    try:
        stage.endure(settings.seconds)
    finally:
        subprocess.run(["sh", "-c", SETTINGS.api_start], check=True, timeout=120)
    stage.converge()


def test_a_watch_that_is_lost_without_a_word(stage: Stage) -> None:
    """Given connections that stand and bring nothing any more, then new ones are made: a router has forgotten them."""
    edited = number("edited", 3)
    stage.write(edited)
    stage.converge()

    assert stage.proxy.strand() >= 3, "a watch of each kind goes through the proxy"
    stage.write(edited, attempts=7)
    stage.write(number("new", 3))
    stage.converge()
