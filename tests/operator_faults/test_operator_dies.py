"""The operator is killed in the middle of its work, or is away while there is work for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from operator_faults.children import count_replica_sets
from operator_faults.stage import Stage, number
from support.waiting import wait_until

pytestmark = pytest.mark.cluster

MANY = 50


def test_killed_in_the_middle_of_fifty_creations(stage: Stage) -> None:
    names = number("made", MANY)
    # A slow way gives the kill its middle on the fastest machine.
    stage.proxy.delay = (0.5, 0.6)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(stage.write, names)
        wait_until(lambda: count_created(stage) >= MANY // 5, what="the first Deployments")
        stage.operator.process.kill()
        written.result()
    made = stage.look().uids()
    assert len(made) < MANY, "it was killed too late to matter"
    stage.proxy.delay = None

    stage.operator.start()
    stage.converge()

    now = stage.look().uids()
    assert {name: now[name] for name in made} == made, "what was made before is kept"
    assert set(count_replica_sets(stage.kubectl).values()) == {1}


def count_created(stage: Stage) -> int:
    """Return how many Deployments the operator says to have made."""
    return sum(entry["event"] == "Deployment created" for entry in stage.operator.log())


def test_away_while_things_are_edited_made_and_deleted(stage: Stage) -> None:
    edited, childless, deleted, left = (number(word, 5) for word in ("edited", "childless", "deleted", "left"))
    stage.write([*edited, *childless, *deleted, *left])
    stage.converge()
    before = stage.look().generations()

    stage.operator.process.kill()
    stage.write(edited, attempts=7)
    stage.write(number("new", 5))
    stage.delete_deployments(childless)
    stage.delete(deleted)
    # Nobody of ours is there: the cluster's own garbage collection has to do it.
    wait_until(
        lambda: not set(deleted) & stage.look().uids().keys(), interval=0.3, what="the children to go with their owners"
    )
    stage.operator.start()
    stage.converge()

    now = stage.look().generations()
    assert {name: now[name] for name in left} == {name: before[name] for name in left}, "nothing else is written anew"
