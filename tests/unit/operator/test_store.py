"""The shelves: the newest wins, lists mend what the watch missed, and tell on it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telemetry_operator.facts import PodFact, Problem
from telemetry_operator.naming import Key
from telemetry_operator.store import Shelf, Store

PROBLEM = Problem(reason="R", message="m", hopeless=False)


def pod(
    version: int, name: str = "a", *, uid: str = "1", namespace: str = "n", problem: Problem | None = None
) -> PodFact:
    return PodFact(
        namespace=namespace,
        name=name,
        uid=uid,
        version=version,
        consumer="c",
        config_hash=None,
        problem=problem,
        loaded=False,
        ended=False,
    )


def test_only_a_change_of_what_is_kept_counts_as_one() -> None:
    shelf: Shelf[PodFact] = Shelf()
    assert shelf.see(pod(1))
    assert not shelf.see(pod(2))
    assert shelf.see(pod(3, problem=PROBLEM))


def test_an_older_version_changes_nothing() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.see(pod(5))
    assert not shelf.see(pod(4, problem=PROBLEM))
    found = shelf.get("n", "a")
    assert found is not None
    assert found.problem is None


def test_what_the_watch_shows_gone_is_gone() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.see(pod(1))
    assert shelf.see_gone(pod(2))
    assert shelf.get("n", "a") is None
    assert not shelf.see_gone(pod(2))


def test_the_end_of_a_predecessor_doesnt_take_its_successor() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.see(pod(9, uid="new"))
    assert not shelf.see_gone(pod(8, uid="old"))
    assert shelf.get("n", "a") is not None


def test_a_list_brings_what_the_watch_missed_and_takes_what_is_gone() -> None:
    shelf: Shelf[PodFact] = Shelf()
    for name in ("stays", "gone", "changed"):
        shelf.see(pod(1, name))
    changed = shelf.learn([pod(1, "stays"), pod(3, "changed", problem=PROBLEM), pod(2, "new")], 5, None, now=0)
    assert sorted(fact.name for fact in changed) == ["changed", "gone", "new"]
    assert sorted(fact.name for fact in shelf) == ["changed", "new", "stays"]


def test_what_came_after_the_list_was_drawn_up_stays() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.see(pod(6, "late"))
    assert shelf.learn([], 5, None, now=0) == []
    assert len(shelf) == 1


def test_a_list_of_one_namespace_says_nothing_of_the_others() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.see(pod(1, namespace="here"))
    shelf.see(pod(1, namespace="there"))
    shelf.learn([], 5, "here", now=0)
    assert [fact.namespace for fact in shelf] == ["there"]


def test_the_watch_owes_what_a_list_showed_first() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.see(pod(1))
    assert shelf.oldest_unseen() is None
    shelf.learn([pod(3)], 3, None, now=100)
    shelf.learn([pod(4)], 4, None, now=200)
    assert shelf.oldest_unseen() == 100
    shelf.see(pod(2))
    assert shelf.oldest_unseen() == 100, "an event from before the list pays nothing back"
    shelf.see(pod(3))
    assert shelf.oldest_unseen() is None


def test_what_is_gone_is_owed_no_more() -> None:
    shelf: Shelf[PodFact] = Shelf()
    shelf.learn([pod(3), pod(3, "b")], 3, None, now=100)
    shelf.see_gone(pod(4))
    shelf.learn([], 9, None, now=200)
    assert shelf.oldest_unseen() is None


@given(st.permutations([(1, "see"), (2, "see"), (3, "learn"), (4, "see"), (5, "learn")]))
def test_whatever_the_order_the_newest_version_stays(order: list[tuple[int, str]]) -> None:
    shelf: Shelf[PodFact] = Shelf()
    for version, how in order:
        if how == "see":
            shelf.see(pod(version))
        else:
            shelf.learn([pod(version)], version, None, now=0)
    found = shelf.get("n", "a")
    assert found is not None
    assert found.version == 5


def test_the_pods_of_one_consumer_by_name() -> None:
    store = Store()
    for fact in (pod(1, "b"), pod(1, "a"), pod(1, "a", namespace="other")):
        store.pods.see(fact)
    assert [fact.name for fact in store.pods_of(Key("n", "c"))] == ["a", "b"]
