"""What the probes are told: dead only for what a restart mends."""

from __future__ import annotations

import pytest

from telemetry_operator.liveness import WATCH_LIMIT_SECONDS, Liveness
from telemetry_operator.store import Store
from unit.operator.samples import deployment_fact


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def liveness(store: Store, clock: Clock) -> Liveness:
    return Liveness(store, 30, clock)


def test_it_is_alive_and_not_ready_until_the_first_lists_are_there(liveness: Liveness) -> None:
    assert liveness.find_deaths() == {}
    assert liveness.find_troubles() == {"api": "the first lists are not there yet"}
    liveness.api_answered()
    assert liveness.find_troubles() == {}


def test_a_pass_that_doesnt_come_round_is_death(liveness: Liveness, clock: Clock) -> None:
    liveness.pass_turned()
    clock.now += 120
    assert liveness.find_deaths() == {}
    clock.now += 1
    assert liveness.find_deaths() == {"pass": "the periodic pass has not come round for 121 s"}
    assert "pass" in liveness.find_troubles()
    liveness.pass_turned()
    assert liveness.find_deaths() == {}


def test_a_slow_pass_has_its_own_limit(store: Store, clock: Clock) -> None:
    liveness = Liveness(store, 300, clock)
    clock.now += 1199
    assert liveness.find_deaths() == {}
    clock.now += 2
    assert "pass" in liveness.find_deaths()


def test_an_api_server_that_is_away_is_no_death(liveness: Liveness, clock: Clock) -> None:
    for _ in range(100):
        clock.now += 60
        liveness.api_failed("no answer")
        liveness.pass_turned()
    assert liveness.find_deaths() == {}
    assert liveness.find_troubles() == {"api": "no answer"}


def test_a_watch_that_doesnt_show_what_a_list_shows_is_death(liveness: Liveness, store: Store, clock: Clock) -> None:
    store.deployments.see(deployment_fact(version=1))
    store.deployments.learn([deployment_fact(version=2, replicas=5)], 2, None, clock.now)
    clock.now += WATCH_LIMIT_SECONDS
    liveness.pass_turned()
    assert liveness.find_deaths() == {}
    clock.now += 1
    assert liveness.find_deaths() == {"watch deployments": "the watch has not shown for 181 s what a list shows"}
    store.deployments.see(deployment_fact(version=2, replicas=5))
    assert liveness.find_deaths() == {}


def test_a_watch_with_nothing_to_show_is_alive(liveness: Liveness, store: Store, clock: Clock) -> None:
    store.deployments.see(deployment_fact(version=1))
    for _ in range(100):
        clock.now += 60
        store.deployments.learn([deployment_fact(version=1)], 1, None, clock.now)
        liveness.pass_turned()
    assert liveness.find_deaths() == {}
